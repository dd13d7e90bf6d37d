-- The key filter: finds the call's key, says whose it is, and lets nobody else through. Follows operations.lua.
--
-- Envoy lets a call through when a script fails. So `decide` runs in pcall, and the admission filter behind admits only
-- calls that carry X-Subscription-Id, which is written here at the very end of a good decision.

-- gateway/keys.py numbers them; 0 is approved.
local STANDINGS = { "subscription_suspended", "subscription_pending" }

local LAST_WEEK = 7 * 86400

-- What answers say of the plan's limits and quotas, behind the numbers that answer.lua reckons with; or false where there
-- are none. Calls share them by consumer, as each has one subscription to an API; without a key, limits by address. A
-- month has no length in seconds.
local function policy_of(handle, plan, consumer, has_key)
  local limits = look_up_plan(plan)
  if not limits then return false end
  local found, shared = {}, ";pk=:" .. handle:base64Escape(consumer) .. ":"
  local own = has_key and shared or ""
  if limits.per_second > 0 then found[1] = '"second";q=' .. limits.per_second .. ";w=1" .. own end
  if limits.per_minute > 0 then found[#found + 1] = '"minute";q=' .. limits.per_minute .. ";w=60" .. own end
  local day, month = tonumber(limits.quota_day), tonumber(limits.quota_month)
  if day > 0 then found[#found + 1] = string.format('"day";q=%d;w=86400%s', day, shared) end
  if month > 0 then found[#found + 1] = string.format('"month";q=%d%s', month, shared) end
  return limits.minute_burst .. "|" .. limits.per_second .. "|" .. limits.per_minute .. "|" .. table.concat(found, ", ")
end

-- What a good key may do at one API, and from when until when: {from, until, consumer, key, plan, subscription, what is
-- to be checked at each call, what answers say of limits, and of the key's end, operations with limits of their own},
-- the last four and the key false where there is nothing; or nil, status and reason, and when a used up quota begins
-- anew. `key` is its record.
local function admit(handle, api, now, key, reason)
  if not key then return nil, reason == "not_subscribed" and "403" or "401", reason end
  local revoked, expires = tonumber(key.revoked), tonumber(key.expires)
  if revoked <= now then return nil, "401", "key_revoked" end
  if expires <= now then return nil, "401", "key_expired" end
  local consumer = consumers[key.consumer]
  if consumer.suspended ~= 0 then return nil, "403", "consumer_suspended" end
  local subscription = look_up_subscription(consumer, api.id, now)
  if not subscription then return nil, "403", "not_subscribed" end
  if subscription.standing ~= 0 then return nil, "403", STANDINGS[subscription.standing] end
  local checked = restriction_of(key, api.id, subscription.id)
  if checked == nil then return nil, "403", "key_not_allowed" end
  local blocked_until = tonumber(subscription.blocked_until)
  if now < blocked_until then return nil, "429", "quota_exceeded", blocked_until end
  local id = ffi.string(consumer.id, 20)
  local in_last_week = now >= expires - LAST_WEEK
  local public_id = key.id[0] ~= 0 and ffi.string(key.id, 12)
  return {
    tonumber(subscription.starts),
    -- At the beginning of its last week the decision is made anew, so that no call before asks when the key ends.
    math.min(revoked, in_last_week and expires or expires - LAST_WEEK, tonumber(subscription.ends)),
    id,
    public_id,
    tostring(subscription.plan),
    tostring(subscription.id),
    checked,
    policy_of(handle, subscription.plan, id, public_id),
    in_last_week and os.date("!%a, %d %b %Y %H:%M:%S GMT", expires),
    limited_of(handle, subscription.plan, api.id, id, api.is_open),
  }
end

local LONGEST_CLAIM = 1024

-- The same for whoever a verified token names: one subscription, no key, and nothing to be checked at each call.
local function admit_claim(handle, api, now, claim)
  local subject = #claim <= LONGEST_CLAIM and look_up_subject(api.id, claim)
  if not subject then return nil, "403", "token_unknown" end
  local consumer, subscription = consumers[subject.consumer], subscriptions[subject.subscription]
  if consumer.suspended ~= 0 then return nil, "403", "consumer_suspended" end
  local starts, ends = tonumber(subscription.starts), tonumber(subscription.ends)
  if now < starts or now >= ends then return nil, "403", "not_subscribed" end
  if subscription.standing ~= 0 then return nil, "403", STANDINGS[subscription.standing] end
  local blocked_until = tonumber(subscription.blocked_until)
  if now < blocked_until then return nil, "429", "quota_exceeded", blocked_until end
  local id, plan = ffi.string(consumer.id, 20), subscription.plan
  return {
    starts, ends, id, false, tostring(plan), tostring(subscription.id), false, policy_of(handle, plan, id, true), false,
    limited_of(handle, plan, api.id, id, false),
  }
end

-- What the route's name says (gateway/routes.py writes it): <api>|<release>|<place and ways>|<limit>|<prefix>|<key name>

-- Decisions are kept by API and token, and forgotten all together so that they stay few; one call in a long while pays.
local MOST = 32768
-- With thousands of decisions kept, collecting garbage at LuaJIT's usual pace (200) took a large part of the filter's
-- time; a slower pace trades memory for it.
collectgarbage("setpause", 1000)
local apis, kept_count = {}, 0

local function learn(handle, name)
  local id, place, ways, limit, prefix, key_name = match(name, "^(%d+)|%d+|([hbqpr])(%u*)|(%d+)|([^|]*)|(.*)$")
  local api
  if id then
    local challenge
    if place == "b" then
      key_name, challenge = "authorization", "Bearer"
    elseif place == "q" then
      challenge = 'ApiKey in="query"'
    else
      challenge = 'ApiKey in="header", name="' .. key_name .. '"'
    end
    api = { id = tonumber(id), place = place, limit = tonumber(limit), name = key_name, challenge = challenge }
    api.in_query = place == "q"
    api.prefix = prefix ~= "" and prefix or nil
    api.paused, api.retired = place == "p", place == "r"
  elseif name == "" then
    api = { missing = true }
  elseif name == "_portico/health" then
    api = { public = true }
  else
    error("unknown route name " .. name)
  end
  learn_ways(api, ways or "")
  if api.takes_token then api.token = token_rules(handle) end
  if kept_count >= MOST then apis, kept_count = {}, 0 end
  apis[name], kept_count = api, kept_count + 1
  return api
end

-- Taking off what must not reach an upstream ----------------------------------------------------------------------

local function decoded(text)
  return (gsub(gsub(text, "+", " "), "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end

-- Keys (`pco_`), user names with passwords (`pcb_`), a console's sends (`pcc_`) and people's access tokens are the
-- portal's: none reaches an upstream. Of the
-- last only whole ones are taken for such, since other people's things are called `ppt_` too.
local ACCESS_TOKEN = "ppt_" .. string.rep("%w", 12) .. "_" .. string.rep("%w", 33)

local function is_portal_key(text)
  return find(text, "^%s*pc[ocb]_") ~= nil or find(text, "pc[ocb]_%w+[_:]%w") ~= nil or find(text, ACCESS_TOKEN) ~= nil
end

local function holds_a_key(text) return find(text, "pc[ocb]_%w") or find(text, ACCESS_TOKEN) end

-- Headers that are another's business than the key's, but that keys are known to stray into: a page's address with the
-- key in its query becomes the next call's Referer.
local function remove_if_it_holds_a_key(headers, name)
  local value = headers:get(name)
  if value and holds_a_key(value) then headers:remove(name) end
end

-- The same inside Basic, as `curl -u <key>:` sends it: `pco_`, `pcb_`, `pcc_` or `ppt_` in base64, wherever a group of
-- three begins. What follows the last is long, and letters and digits in base64 too.
local REST = string.rep("%w", 55)

local function is_basic_of_a_key(value)
  return (find(value, "^%s*[Bb][Aa][Ss][Ii][Cc]") or find(value, ",", 1, true))
    and (find(value, "cGN[vji]X[w-z0-9+/]%w") or find(value, "[HXn3]Bj[bY][1l][89]%w") or find(value, "wY2[9NJ]f%w")
      or find(value, "cHB0X" .. REST) or find(value, "[HXn3]BwdF[89]" .. REST) or find(value, "wcHRf" .. REST))
end

local function masked(text) return (gsub(gsub(text, "pc[ocb]_[%w_:-]+", "(key)"), ACCESS_TOKEN, "(key)")) end

-- A name or address, and perhaps a port. Two Host headers arrive here as one with a comma.
local function is_host(authority)
  return find(authority, "^[%w._-]+:?%d*$") ~= nil or find(authority, "^%[[%x:.]+%]:?%d*$") ~= nil
end

-- The path without the key parameter and without values that are keys; the values of the parameter. What stays,
-- stays byte for byte.
local function without_keys(path, question, parameter)
  local kept, values = {}, {}
  for pair in string.gmatch(sub(path, question + 1), "[^&]+") do
    local name, value = match(pair, "^([^=]*)=?(.*)$")
    name, value = decoded(name), decoded(value)
    if name == parameter then
      values[#values + 1] = value
    elseif not is_portal_key(value) and not is_portal_key(name) then
      kept[#kept + 1] = pair
    end
  end
  local rest = sub(path, 1, question - 1)
  if #kept > 0 then rest = rest .. "?" .. table.concat(kept, "&") end
  return rest, values
end

-- Browsers send the portal's cookies along where portal and gateway share a host, whatever their ports. One without a
-- name has its value in its place; some servers take a comma for a semicolon.
local function is_portal_cookie(cookie)
  local text = "," .. string.lower(cookie)
  return find(text, "^,[%s=]*portico_") or find(text, ",%s*portico_[^=]*=")
    or find(text, ",[%s=]*__host%-portico_") or find(text, ",[%s=]*__secure%-portico_")
end

local function remove_portal_cookies(headers)
  local kept = {}
  for i = 0, headers:getNumValues("cookie") - 1 do
    for pair in string.gmatch(headers:getAtIndex("cookie", i), "[^;]+") do
      local cookie = match(pair, "^%s*(.-)%s*$")
      if cookie ~= "" and not is_portal_cookie(cookie) and not is_portal_key(cookie) then kept[#kept + 1] = cookie end
    end
  end
  headers:remove("cookie")
  if #kept > 0 then headers:add("cookie", table.concat(kept, "; ")) end
end

-- The token that the call carries where this API wants it, or nil; true when there are several; the path without query.
-- Where tokens of others are taken too, `authorization` has been removed already, and its value is this.
local function take_key(api, headers, authorization)
  local token, several = nil, false
  if not api.in_query and api.name then
    token = api.place == "b" and authorization or headers:get(api.name)
    if token then
      several = find(token, ",", 1, true) ~= nil and headers:getNumValues(api.name) > 1
      headers:remove(api.name)
      -- Envoy has taken off the spaces at its end. Here they would be searched for again from each of them.
      if api.place == "b" then token = match(token, "^[Bb][Ee][Aa][Rr][Ee][Rr] +(.*)$") end
    end
  end
  local path = headers:get(":path")
  local question = find(path, "?", 1, true)
  local plain_path = question and sub(path, 1, question - 1) or path
  if question and (api.in_query or find(path, "%", question, true) or find(path, "pc", question, true)
      or find(path, "ppt", question, true)) then
    local rest, values = without_keys(path, question, api.in_query and api.name or nil)
    if #rest ~= #path then headers:replace(":path", rest) end
    if api.in_query then token, several = values[1], #values > 1 end
  end
  if api.name ~= "authorization" then
    local value = headers:get("authorization")
    if value and (holds_a_key(value) or is_basic_of_a_key(value)) then headers:remove("authorization") end
  end
  if api.stray then remove_if_it_holds_a_key(headers, api.stray) end
  if api.name ~= "x-api-key" then remove_if_it_holds_a_key(headers, "x-api-key") end
  return token, several, plain_path
end

-- What follows the prefix of a path-mounted API, the whole path of any other.
local function path_of_api(api, path)
  local inner = api.prefix and sub(path, #api.prefix + 1) or path
  return inner == "" and "/" or inner
end

-- Whether any call has left notes for its answer. Until then no answer looks for some.
local are_notes = false

-- The decision ----------------------------------------------------------------------------------------------------

-- nil to let the call pass, or status, reason, the API where a key would help, and the instant from when on the call
-- may be sent again; then the limit of a body that has not said its length.
local function decide(handle)
  local name = handle:streamInfo():routeName()
  local api = apis[name] or learn(handle, name)
  local headers = handle:headers()

  local theirs = headers:get("x-request-id")
  if theirs then headers:add("x-consumer-request-id", masked(sub(theirs, 1, 200))) end
  local ms = handle:timestamp()
  headers:replace("x-request-id", new_id(ms))
  -- These three are logged, the first by its beginning only.
  local asked, host = headers:get(":path") or "", headers:get(":authority") or ""
  remove_if_it_holds_a_key(headers, "user-agent")
  remove_if_it_holds_a_key(headers, "traceparent")
  if not is_host(host) or holds_a_key(host) then
    headers:replace("x-forwarded-host", masked(host))
    return "400", "bad_request"
  end
  if find(asked, "^[^?]*pc[ocb]_%w+[_:]%w") or find(asked, "^[^?]*" .. ACCESS_TOKEN) then
    headers:replace("x-envoy-original-path", masked(asked))
    return "400", "key_misplaced"
  end
  if api.missing then return "404", "no_such_api" end
  -- Envoy resolves dot segments once. What is left of them with a parameter, servers of Java would resolve behind us.
  if find(asked, ".;", 1, true) and find(asked, "^[^?]*/%.%.?;") then return "400", "bad_request" end

  local cookies = headers:get("cookie")
  if cookies and (find(string.lower(cookies), "portico_", 1, true) or find(cookies, "pc[ocb]_")
    or find(cookies, ACCESS_TOKEN)) then
    remove_portal_cookies(headers)
  end
  remove_if_it_holds_a_key(headers, "referer")
  if api.public then return end
  local rules, authorization, claim, several_tokens, pair_sent, repeated = api.token, nil, nil, nil, nil, nil
  if api.ways then
    if rules then authorization, claim, several_tokens = take_claim(rules, headers) end
    pair_sent, repeated = take_basic(api, headers)
  end
  local token, several, path = take_key(api, headers, authorization)
  local way = BY_KEY
  if api.ways then way, token, several = way_of(api, pair_sent, repeated, token, several) end

  if api.retired then return "410", "api_retired" end
  if api.paused then return "503", "api_paused" end
  if several then return "400", "key_repeated" end
  local now = math.floor(ms / 1000)
  if rules and way == BY_KEY and not is_key(api, token) then
    if several_tokens then return "400", "token_repeated" end
    if not claim then
      local status, reason = disbelieved(handle, rules, authorization)
      return status, reason, status == "401" and api or nil
    end
    way, token = BY_TOKEN, claim
    if rules.forward then headers:add("authorization", authorization) end
  elseif not token or token == "" then
    return "401", "key_missing", api
  elseif several_tokens and api.place == "b" then
    return "400", "key_repeated"
  end
  local rights = api.admitted[way][token]
  if not rights or now < rights[1] or now >= rights[2] then
    local status, reason, again
    if way == BY_TOKEN then
      rights, status, reason, again = admit_claim(handle, api, now, token)
    else
      rights, status, reason, again = admit(handle, api, now, way.look_up(token))
    end
    if not rights then return status, reason, status == "401" and api or nil, again end
    if kept_count >= MOST then
      apis, kept_count = { [name] = api }, 1
      for _, admitted in pairs(api.admitted) do for each in pairs(admitted) do admitted[each] = nil end end
    end
    api.admitted[way][token], kept_count = rights, kept_count + 1
  end

  if rights[7] then
    local why = restricted(rights[7], handle, headers, path_of_api(api, path))
    if why then return "403", why end
  end

  local length = headers:get("content-length")
  if length and tonumber(length) > api.limit then return "413", "too_large" end
  local upgrade = headers:get("upgrade")
  -- Envoy would wait for the target's word before it sends the body, and the target for the body.
  if upgrade and length and tonumber(length) > 0 then return "400", "bad_request" end
  if api.prefix then
    headers:add("x-forwarded-prefix", api.prefix)
    headers:add("x-envoy-original-path", path) -- for the log; the router would add headers that clients see
  end
  local operation = rights[10] and mark_operation(rights[10], headers, headers:get(":method"), path_of_api(api, path))
  headers:add("x-consumer-id", rights[3])
  if rights[4] then headers:add("x-key-id", rights[4]) end
  headers:add(way.plan, rights[5])
  headers:add("x-subscription-id", rights[6])
  if upgrade or rights[8] or rights[9] or operation then -- for answer.lua
    local notes = handle:streamInfo():dynamicMetadata()
    if upgrade then notes:set("portico", "upgrade", upgrade) end
    if rights[8] then notes:set("portico", "policy", rights[8]) end
    if rights[9] then notes:set("portico", "expires", rights[9]) end
    if operation then notes:set("portico", "operation", operation) end
    are_notes = true
  end
  -- What follows an upgrade is no body, and has no end that one could wait for.
  return nil, nil, nil, nil, not length and not upgrade and api.limit
end

local function refuse(handle, status, reason, api, again)
  handle:headers():replace("x-consumer-refusal", reason)
  local headers = { [":status"] = status }
  if api then headers["www-authenticate"] = challenge_of(api, reason) end
  if reason == "api_paused" then headers["retry-after"] = "60" end
  local sentence = WORDS[reason]
  if again then
    headers["retry-after"] = tostring(math.max(1, again - math.floor(handle:timestamp() / 1000)))
    sentence = sentence .. " It begins anew at " .. os.date("!%Y-%m-%dT%H:%M:%SZ", again) .. "."
  end
  if reason == "api_retired" then
    local successor = handle:metadata():get("successor") -- gateway/ending.py writes it
    if successor then sentence = sentence .. " Use " .. successor .. " instead." end
  end
  handle:respond(headers, sentence)
end

function envoy_on_request(handle)
  local decided, status, reason, api, again, unannounced = pcall(decide, handle)
  if not decided then
    handle:logErr("key filter: " .. tostring(status))
    return refuse(handle, "500", "gateway_error")
  end
  if status then return refuse(handle, status, reason, api, again) end
  -- A body that comes in chunks is collected first, since a script cannot refuse once the headers are on their way.
  -- Envoy itself answers 413 where the body grows beyond the route's request_body_buffer_limit.
  if unannounced then
    local body = handle:body()
    if body and body:length() > unannounced then refuse(handle, "413", "too_large") end
  end
end
