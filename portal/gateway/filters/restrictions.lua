-- What one key may do less than its consumer: chosen subscriptions, methods that only read, chosen operations, networks
-- to call from. Follows key_data.lua. Looked up with a decision and kept with it; only a key that has a restriction is
-- checked at each call.

-- gateway/keys.py writes these bits, and these signs into templates.
local READ_ONLY, SUBSCRIPTIONS, ADDRESSES = 1, 2, 4
local VARIABLE, REST = "\1", "\2"
local READING = { GET = true, HEAD = true, OPTIONS = true }
-- Frameworks that are asked so take another method than the one that the gateway sees. Some read all spellings as one
-- name; those that begin with `x_` or `x.` are gone by now.
local OVERRIDES = {}
for a in string.gmatch("-_.", ".") do
  OVERRIDES[#OVERRIDES + 1] = "x-http" .. a .. "method"
  OVERRIDES[#OVERRIDES + 1] = "x-method" .. a .. "override"
  for b in string.gmatch("-_.", ".") do OVERRIDES[#OVERRIDES + 1] = "x-http" .. a .. "method" .. b .. "override" end
end
local MOST_ADDRESSES = 1024

local function split(path)
  local parts = {}
  for part in string.gmatch(sub(path, 2) .. "/", "([^/]*)/") do parts[#parts + 1] = part end
  return parts
end

-- A template's segments: a text that is meant literally, or the texts before, between and after variables.
local function template_of(path)
  local template = split(path)
  for n, segment in ipairs(template) do
    if find(segment, VARIABLE, 1, true) then
      local pieces = {}
      for piece in string.gmatch(segment .. VARIABLE, "([^\1]*)\1") do pieces[#pieces + 1] = piece end
      template[n] = pieces
    end
  end
  return template
end

-- The chosen operations of an API, templates by method; nil where the key names none of that API and may do all.
local function operations_of(restriction, api)
  local found
  for n = restriction.operations_first, restriction.operations_first + restriction.operations_count - 1 do
    if operations[n].api == api then
      local method, path = match(ffi.string(texts + operations[n].at, operations[n].length), "^(%S+) (.*)$")
      found = found or {}
      found[method] = found[method] or {}
      table.insert(found[method], template_of(path))
    end
  end
  return found
end

-- What is to be checked at each call with a key at one API, false where nothing is; or nil where the key may not use
-- this subscription.
local function restriction_of(key, api, subscription)
  if key.restriction == 0 then return false end
  local restriction = restrictions[key.restriction - 1]
  if band(restriction.flags, SUBSCRIPTIONS) ~= 0 then
    local first, is_chosen = restriction.chosen_first, false
    for n = first, first + restriction.chosen_count - 1 do is_chosen = is_chosen or chosen[n] == subscription end
    if not is_chosen then return nil end
  end
  local checked = {
    read_only = band(restriction.flags, READ_ONLY) ~= 0,
    operations = operations_of(restriction, api),
    networks = band(restriction.flags, ADDRESSES) ~= 0 and restriction or nil,
    near = {}, -- address -> whether it lies in one of the networks
    near_count = 0,
  }
  return (checked.read_only or checked.operations or checked.networks) and checked or false
end

-- Whether variables of at least one character fill what the pieces leave of the segment.
local function fits(pieces, segment)
  local at, stop = #pieces[1], #segment - #pieces[#pieces]
  if sub(segment, 1, at) ~= pieces[1] or sub(segment, stop + 1) ~= pieces[#pieces] then return false end
  for n = 2, #pieces - 1 do
    -- The first place is always the best one: it leaves most to the variables behind.
    local found = find(segment, pieces[n], at + 2, true)
    if not found then return false end
    at = found + #pieces[n] - 1
  end
  return at < stop
end

local function is_described(template, parts)
  local count = #template
  local rest = template[count] == REST
  if #parts < count or #parts > count and not rest then return false end
  for n = 1, rest and count - 1 or count do
    local wanted = template[n]
    if type(wanted) == "string" then
      if wanted ~= parts[n] then return false end
    elseif not fits(wanted, parts[n]) then
      return false
    end
  end
  return not rest or parts[count] ~= ""
end

local function is_one_of(templates, parts)
  for _, template in ipairs(templates or {}) do
    if is_described(template, parts) then return true end
  end
  return false
end

-- `path` is that of the API, without a query. Envoy has resolved its dot segments and refuses escaped slashes.
local function may_do(checked, method, path)
  if checked.read_only and not READING[method] then return false end
  local chosen_operations = checked.operations
  if not chosen_operations then return true end
  -- Behind a semicolon stand parameters, without which servers of Java see another path.
  if find(path, ";", 1, true) then return false end
  if find(path, "%", 1, true) then
    path = gsub(path, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  local parts = split(path)
  return is_one_of(chosen_operations[method], parts) or method == "HEAD" and is_one_of(chosen_operations.GET, parts)
end

-- Networks ---------------------------------------------------------------------------------------------------------

local INET, INET6 = 2, 10
local MAPPED = string.rep("\0", 10) .. "\255\255" -- an IPv4 address as IPv6 writes it begins so
local bytes = ffi.new("uint8_t[16]")

-- Both tables hold ranges that are sorted and apart.
local function is_within4(restriction, at)
  local number = ((bytes[at] * 256 + bytes[at + 1]) * 256 + bytes[at + 2]) * 256 + bytes[at + 3]
  local low, high = restriction.v4_first, restriction.v4_first + restriction.v4_count - 1
  while low <= high do
    local middle = rshift(low + high, 1)
    if number < networks4[middle].first then
      high = middle - 1
    elseif number > networks4[middle].last then
      low = middle + 1
    else
      return true
    end
  end
  return false
end

local function is_within6(restriction)
  local low, high = restriction.v6_first, restriction.v6_first + restriction.v6_count - 1
  while low <= high do
    local middle = rshift(low + high, 1)
    if C.memcmp(bytes, networks6[middle].first, 16) < 0 then
      high = middle - 1
    elseif C.memcmp(bytes, networks6[middle].last, 16) > 0 then
      low = middle + 1
    else
      return true
    end
  end
  return false
end

local function is_within(restriction, address)
  if C.inet_pton(INET, address, bytes) == 1 then return is_within4(restriction, 0) end
  if C.inet_pton(INET6, address, bytes) ~= 1 then return false end
  if C.memcmp(bytes, MAPPED, 12) == 0 then return is_within4(restriction, 12) end
  return is_within6(restriction)
end

-- `peer` is an address and a port, `1.2.3.4:5` or `[::1]:5`, perhaps with a zone: `[fe80::1%eth0]:5`.
local function may_come_from(checked, peer)
  local address = match(peer, "^%[([^%]%%]+)") or match(peer, "^[^:]+")
  local near = checked.near[address]
  if near == nil then
    if checked.near_count == MOST_ADDRESSES then checked.near, checked.near_count = {}, 0 end
    near = is_within(checked.networks, address)
    checked.near[address], checked.near_count = near, checked.near_count + 1
  end
  return near
end

-- The reason why a call must not be made with this key, or nil.
local function restricted(checked, handle, headers, path)
  if checked.networks and not may_come_from(checked, handle:streamInfo():downstreamRemoteAddress()) then
    return "address_not_allowed"
  end
  if not checked.read_only and not checked.operations then return nil end
  for _, name in ipairs(OVERRIDES) do
    if headers:get(name) then return "key_not_allowed" end
  end
  -- What follows an upgrade goes both ways.
  local upgrade = checked.read_only and headers:get("upgrade")
  if upgrade and find(string.lower(upgrade), "websocket", 1, true) then return "key_not_allowed" end
  if not may_do(checked, headers:get(":method"), path) then return "key_not_allowed" end
end
