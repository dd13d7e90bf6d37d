-- Tokens (JWT): Envoy has verified what the call carries before (jwt.py), and written the claim of a good token into a
-- header that no client can set. Here the claim is taken off the call, or the reason why there is none is found; key.lua
-- decides. Follows ways.lua.

-- Envoy's words for the two failures that callers can mend by themselves.
local LATE, EARLY = "Jwt is expired", "Jwt not yet valid"

-- What the route says of tokens, or nil where its API takes none: the provider that verifies them and the header that
-- it writes, whether the token goes on. Asked once a release, since it stands there like the route's name.
local function token_rules(handle)
  local metadata = handle:metadata()
  local provider = metadata:get("token")
  if not provider then return nil end
  return { provider = provider, header = "x-consumer-claim-" .. provider, forward = metadata:get("token_forward") }
end

-- Takes a token off the call, which goes on only where it is believed, and the claim: Authorization or nil where it holds
-- no token, the claim or nil, and whether there are several. Envoy finds a token anywhere in the header, so one that is
-- not alone there is not believed.
local function take_claim(rules, headers)
  local authorization = headers:get("authorization")
  if not authorization or not find(string.lower(authorization), "bearer", 1, true) then return nil, nil, false end
  local several = find(authorization, ",", 1, true) ~= nil
  local claim = headers:get(rules.header)
  headers:remove("authorization")
  if claim then
    headers:remove(rules.header)
    if not find(authorization, "^[Bb]earer +[%w_.-]+$") then claim = nil end
  elseif find(authorization, ".", 1, true) then
    -- Another provider of the same issuer may have believed it. Keys have no dot, and no token is without.
    local others = {}
    for name in pairs(headers) do
      if sub(name, 1, 17) == "x-consumer-claim-" then others[#others + 1] = name end
    end
    for _, name in ipairs(others) do headers:remove(name) end
  end
  return authorization, claim, several
end

-- Why a call without a claim is refused: status and reason.
local function disbelieved(handle, rules, authorization)
  if not authorization then return "401", "token_missing" end
  if not handle:metadata():get("token_keys") then return "503", "token_keys_missing" end
  local told = handle:streamInfo():dynamicMetadata():get("envoy.filters.http.jwt_authn")
  local status = told and told[rules.provider]
  local words = status and status.message
  if words == LATE then return "401", "token_expired" end
  if words == EARLY then return "401", "token_early" end
  return "401", "token_invalid"
end

-- Where an API takes both, what does not look like one of this portal's keys is taken for a token. In a place of its own
-- whatever stands there is meant as a key.
local function is_key(api, token)
  if not token or token == "" then return false end
  return api.place ~= "b" or find(token, "^pc[oc]_") ~= nil
end

local function challenge_of(api, reason)
  if sub(reason, 1, 6) ~= "token_" or reason == "token_missing" then return api.challenge end
  return 'Bearer error="invalid_token"'
end
