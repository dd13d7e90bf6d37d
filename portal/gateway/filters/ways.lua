-- Other ways than a key: user name and password in `Authorization: Basic`, and nothing at all, where the API is public.
-- Follows restrictions.lua.
--
-- Each way looks its credentials up for itself, and the decisions about them are kept apart: what is sent one way is
-- never taken for what was admitted another way.

local VALUES = {}
do
  local letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
  for n = 1, 64 do VALUES[byte(letters, n)] = n - 1 end
end
local pair = ffi.new("uint8_t[50]")

-- The user name, the colon and the password, which have 50 characters together; or nil. Padding may be left out.
local function pair_of(text)
  local length = #text
  if length == 68 and byte(text, 68) == 61 then length = 67 end
  if length ~= 67 then return nil end
  local bits, count, at = 0, 0, 0
  for n = 1, 67 do
    local value = VALUES[byte(text, n)]
    if not value then return nil end
    bits, count = bits * 64 + value, count + 6
    if count >= 8 then
      count = count - 8
      pair[at] = rshift(bits, count)
      bits, at = bits % 2 ^ count, at + 1
    end
  end
  return ffi.string(pair, 50)
end

local function look_up_pair(text)
  local said = pair_of(text)
  if not said or not is_well_formed(said, "^pcb_%w+:%w+$", 58) then return nil, "key_malformed" end
  return known(said)
end

-- gateway/keys.py stores a record for each public API under the hash of these 50 characters.
local function look_up_everyone(api)
  local found = known(string.format("everyone of API %034d", api))
  if not found then return nil, "not_subscribed" end
  return found
end

-- How a way looks up, and the header that chooses the buckets of its calls: those of a subscription, or of an address.
local BY_KEY = { look_up = look_up, plan = "x-plan-id" }
local BY_BASIC = { look_up = look_up_pair, plan = "x-plan-id" }
local BY_TOKEN = { plan = "x-plan-id" } -- token.lua
local BY_NOTHING = { look_up = look_up_everyone, plan = "x-consumer-plan" }

-- The letters are those of gateway/routes.py; none means keys. `place` and `name` say where a key is looked for.
local function learn_ways(api, letters)
  api.admitted = { [BY_KEY] = {}, [BY_BASIC] = {}, [BY_TOKEN] = {}, [BY_NOTHING] = {} }
  if letters == "" then return end
  api.ways = true
  api.takes_key = find(letters, "K", 1, true) ~= nil
  api.takes_basic = find(letters, "B", 1, true) ~= nil
  api.is_open = find(letters, "N", 1, true) ~= nil
  api.takes_token = find(letters, "J", 1, true) ~= nil
  local challenges = { api.takes_key and api.challenge or nil }
  if api.takes_basic then challenges[#challenges + 1] = 'Basic realm="Portico", charset="UTF-8"' end
  if api.takes_token and challenges[1] ~= "Bearer" then challenges[#challenges + 1] = "Bearer" end
  if #challenges > 0 then api.challenge = #challenges == 1 and challenges[1] or challenges end
  if not api.takes_key then
    -- What is no key of ours belongs to the upstream there.
    api.stray = api.place == "h" and api.name or nil
    api.place, api.name, api.in_query = "n", nil, false
  end
end

-- What stands behind `Basic`, or nil; true where it came with another Authorization. It is taken off: an API that asks
-- for user name and password asks for ours.
local function take_basic(api, headers)
  local value = api.takes_basic and headers:get("authorization")
  if not value then return nil, false end
  local scheme, text = match(value, "^(%a+)%s*(.*)$")
  local is_basic = scheme and string.lower(scheme) == "basic"
  -- Envoy joins several headers of this name with commas.
  if find(value, ",", 1, true) and (is_basic or find(string.lower(value), ",%s*basic")) then
    headers:remove("authorization")
    return nil, true
  end
  if not is_basic then return nil, false end
  headers:remove("authorization")
  return text, false
end

-- The way that the call goes, its credential, and whether it carried several.
local function way_of(api, pair_sent, repeated, token, several)
  if api.is_open then return BY_NOTHING, api.id, false end
  if pair_sent then return BY_BASIC, pair_sent, several or token ~= nil end
  return BY_KEY, token, several or repeated
end
