-- Answers: a path-mounted upstream does not know its prefix, so it is put back into the places where an answer names
-- a path; and the portal's own cookies cannot be set from an upstream. Costs three look-ups where nothing is to do.
-- The route's metadata (gateway/routes.py) says prefix, base (the targets' own path, "" for none) and targets.

local function is_below(path, prefix)
  return sub(path, 1, #prefix) == prefix and find(sub(path, #prefix + 1, #prefix + 1), "^[/?#]?$") ~= nil
end

-- The path as clients have to ask for it.
local function outward(path, mount)
  if mount.base ~= mount.prefix and mount.prefix ~= "" and is_below(path, mount.prefix) then
    return path -- an upstream that reads X-Forwarded-Prefix has put it there already
  end
  if mount.base ~= "" and is_below(path, mount.base) then path = sub(path, #mount.base + 1) end
  return mount.prefix .. path
end

local function outward_location(location, mount)
  if byte(location, 1) == 47 and byte(location, 2) ~= 47 then return outward(location, mount) end
  local authority, path = match(location, "^[Hh][Tt][Tt][Pp][Ss]?://([^/?#]*)(.*)$")
  if not authority then return location end
  for target in string.gmatch(mount.targets, "%S+") do
    if string.lower(authority) == target then
      path = outward(path == "" and "/" or path, mount)
      return path == "" and "/" or path
    end
  end
  return location
end

local function outward_cookie(cookie, mount)
  if mount.prefix == "" and mount.base == "" or find(cookie, "^%s*__Host%-") then return cookie end
  return (gsub(cookie, "(;%s*[Pp][Aa][Tt][Hh]%s*=%s*)(/[^;]*)", function(attribute, path)
    path = outward(path == "/" and "" or path, mount)
    return attribute .. (path == "" and "/" or path)
  end))
end

local function mend(handle, headers, location, content_location, cookies)
  local metadata = handle:metadata()
  local mount = { prefix = metadata:get("prefix"), base = metadata:get("base"), targets = metadata:get("targets") }
  if not mount.prefix then return end
  if location then headers:replace("location", outward_location(location, mount)) end
  if content_location then headers:replace("content-location", outward_location(content_location, mount)) end
  if cookies then
    local kept = {}
    for i = 0, headers:getNumValues("set-cookie") - 1 do
      local cookie = headers:getAtIndex("set-cookie", i)
      if not is_portal_cookie(cookie) then kept[#kept + 1] = outward_cookie(cookie, mount) end
    end
    headers:remove("set-cookie")
    for _, cookie in ipairs(kept) do headers:add("set-cookie", cookie) end
  end
end

function envoy_on_response(handle)
  local headers = handle:headers()
  local notes = are_notes and handle:streamInfo():dynamicMetadata():get("portico")
  -- A client that did not ask for an upgrade may take 101 for the first half of an answer, and the answer to its next
  -- call for the second.
  if headers:get(":status") == "101" and not (notes and notes.upgrade) then
    headers:replace(":status", "502")
    headers:replace("content-length", "0")
  end
  if notes then
    if notes.operation then
      tell_operation_limits(headers, notes.policy, notes.operation)
    elseif notes.policy then
      tell_limits(headers, notes.policy)
    end
    if notes.expires then headers:replace("x-key-expires", notes.expires) end
  end
  local cookies = headers:get("set-cookie")
  local location, content_location = headers:get("location"), headers:get("content-location")
  if not (location or content_location or cookies) then return end
  local mended, problem = pcall(mend, handle, headers, location, content_location, cookies)
  if not mended then
    handle:logErr("answer: " .. tostring(problem))
    headers:remove("set-cookie")
  end
end
