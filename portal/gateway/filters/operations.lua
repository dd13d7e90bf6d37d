-- Operations that have limits of their own under a plan: which calls they are. Follows restrictions.lua.
--
-- What gateway/operation_limits.py has written for a plan and an API is read when the first call needs it, and kept until
-- the key data is another. A call is found in a trie as ingest finds it (traffic/operations.py): of several templates
-- that fit, the one that is more concrete in the first segment in which they differ.

-- Steps of one search, as in traffic/operations.py.
local MOST_STEPS = 500

local function new_node() return { literal = {}, partly = {}, ends = {} } end

local function node_below(node, segment)
  if segment == REST then
    node.rest = node.rest or new_node()
    return node.rest
  elseif type(segment) == "string" then
    node.literal[segment] = node.literal[segment] or new_node()
    return node.literal[segment]
  elseif #segment == 2 and segment[1] == "" and segment[2] == "" then
    node.any = node.any or new_node()
    return node.any
  end
  local called, letters = table.concat(segment, VARIABLE), 0
  for _, each in ipairs(node.partly) do if each.called == called then return each.node end end
  for _, piece in ipairs(segment) do letters = letters + #piece end
  local made = { called = called, pieces = segment, letters = letters, node = new_node() }
  local place = 1 -- more letters come first, of equally many what stood first in the document
  while node.partly[place] and node.partly[place].letters >= letters do place = place + 1 end
  table.insert(node.partly, place, made)
  return made.node
end

-- The numbers and the operation of a limit, as answers tell of it.
local function limit_of_line(id, second, second_burst, minute, minute_burst, operation)
  return {
    id = id,
    operation = operation,
    per_second = tonumber(second),
    per_minute = tonumber(minute),
    numbers = table.concat({ second, second_burst, minute, minute_burst }, "|"),
  }
end

local function trie_of(text)
  local root = new_node()
  for line in string.gmatch(text, "[^\n]+") do
    local id, second, second_burst, minute, minute_burst, operation, method, path =
      match(line, "^(%d+) (%d+) (%d+) (%d+) (%d+) (%S+) (%S+) (.*)$")
    local node = root
    for _, segment in ipairs(template_of(path)) do node = node_below(node, segment) end
    if node.ends[method] == nil then
      node.ends[method] = id ~= "0" and limit_of_line(id, second, second_burst, minute, minute_burst, operation)
    end
  end
  return root
end

local tries = {}

-- The operations of an API that have limits under a plan, or false where none has.
local function limited_operations(plan, api)
  local low, high = 0, limited_count - 1
  while low <= high do
    local middle = rshift(low + high, 1)
    local record = limited[middle]
    if record.plan == plan and record.api == api then
      if not tries[middle] then tries[middle] = trie_of(ffi.string(texts + record.at, record.length)) end
      return tries[middle]
    end
    if plan < record.plan or plan == record.plan and api < record.api then high = middle - 1 else low = middle + 1 end
  end
  return false
end

local steps = 0

-- The limit of the operation that these parts of a path are; false for an operation without one, nil for none.
local function search_below(node, parts, at, method)
  steps = steps + 1
  if steps > MOST_STEPS then return nil end
  if at > #parts then
    local found = node.ends[method]
    if found == nil and method == "HEAD" then found = node.ends.GET end
    return found
  end
  local part, found = parts[at], nil
  local below = node.literal[part]
  if below then found = search_below(below, parts, at + 1, method) end
  if found ~= nil or part == "" then return found end
  for _, each in ipairs(node.partly) do
    steps = steps + 1
    if fits(each.pieces, part) then
      found = search_below(each.node, parts, at + 1, method)
      if found ~= nil then return found end
    end
  end
  if node.any then found = search_below(node.any, parts, at + 1, method) end
  if found == nil and node.rest then found = search_below(node.rest, parts, #parts + 1, method) end
  return found
end

local function limit_at(trie, method, path)
  local parts = split(path)
  steps = 0
  local found = search_below(trie, parts, 1, method)
  if found ~= nil or path == "/" then return found end
  -- Once more with or without a slash at the end.
  if parts[#parts] == "" then parts[#parts] = nil else parts[#parts + 1] = "" end
  steps = 0
  return search_below(trie, parts, 1, method)
end

-- The limit that a call meets, or nil. `path` is that of the API, without a query.
local function operation_limit(trie, method, path)
  if find(path, "%", 1, true) then
    path = gsub(path, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  local found = limit_at(trie, method, path)
  if not found and (find(path, ";", 1, true) or find(path, "//", 1, true)) then
    -- Servers that take off what stands behind a semicolon, or put slashes together, see another path. The limit holds
    -- for either.
    found = limit_at(trie, method, (gsub(gsub(path, ";[^/]*", ""), "//+", "/")))
  end
  return found or nil
end

-- What answers say of a limit, behind the numbers that answer_limits.lua reckons with.
local function operation_policy(limit, shared)
  local found = {}
  for _, each in ipairs({ { "second", limit.per_second, 1 }, { "minute", limit.per_minute, 60 } }) do
    local word, rate, seconds = each[1], each[2], each[3]
    if rate > 0 then
      found[#found + 1] = string.format('"%s/%s";q=%d;w=%d%s', limit.operation, word, rate, seconds, shared)
    end
  end
  return limit.numbers .. "|" .. limit.operation .. "|" .. table.concat(found, ", ")
end

-- With a decision: the operations that are limited, and what answers say of each, made when it is needed. Calls share
-- limits by consumer; where each address has its own, `is_open`, that is not told.
local function limited_of(handle, plan, api, consumer, is_open)
  local trie = limited_count > 0 and limited_operations(plan, api)
  if not trie then return false end
  return {
    trie = trie,
    header = is_open and "x-consumer-limit" or "x-subscription-limit",
    shared = is_open and "" or ";pk=:" .. handle:base64Escape(consumer) .. ":",
    policies = {},
  }
end

-- Mark the call for the limit filter where it is a limited operation; then what its answer says of that, else nil.
local function mark_operation(limits, headers, method, path)
  local limit = operation_limit(limits.trie, method, path)
  if not limit then
    -- Frameworks that are asked so take the call for another operation.
    for _, name in ipairs(OVERRIDES) do
      local other = headers:get(name)
      limit = limit or other and operation_limit(limits.trie, string.upper(other), path)
    end
  end
  if not limit then return nil end
  headers:add(limits.header, limit.id)
  local policy = limits.policies[limit.id]
  if not policy then
    policy = operation_policy(limit, limits.shared)
    limits.policies[limit.id] = policy
  end
  return policy
end
