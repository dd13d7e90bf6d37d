-- What is left of limits, as draft-ietf-httpapi-ratelimit-headers-10 has it. The limit filters say it in Envoy's words.

local LIMITS = { "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset" }
local policies, policy_count = {}, 0

local function kept_policy(text, policy)
  policy.second, policy.minute = tonumber(policy.second), tonumber(policy.minute) / 60
  policy.limits = policy.second > 0 or policy.minute > 0
  if policy_count == 32768 then policies, policy_count = {}, 0 end
  policies[text], policy_count = policy, policy_count + 1
  return policy
end

local function policy_of_plan(text)
  local minute_burst, second, minute, told = match(text, "^(%d+)|(%d+)|(%d+)|(.*)$")
  return kept_policy(text, { minute_burst = minute_burst, second = second, minute = minute, told = told, prefix = "" })
end

local function policy_of_operation(text)
  local second, second_burst, minute, minute_burst, operation, told =
    match(text, "^(%d+)|(%d+)|(%d+)|(%d+)|([^|]*)|(.*)$")
  return kept_policy(text, {
    minute_burst = minute_burst, second_burst = second_burst, second = second, minute = minute, told = told,
    prefix = operation .. "/",
  })
end

-- Envoy speaks of the limit that has refused, otherwise of the slower one; where both are as large that is the minute's
-- too. Within `t` seconds no more than `r` calls should come: until the bucket is full again, or has one call's worth.
local function item_of(policy, limit, remaining, reset)
  local name = limit == policy.minute_burst and "minute" or "second"
  local left = tonumber(remaining)
  local seconds = math.max(1, left > 0 and math.ceil((limit - left) / policy[name]) or tonumber(reset))
  return '"' .. policy.prefix .. name .. '";r=' .. remaining .. ";t=" .. seconds, left, seconds
end

local function tell_limits(headers, text)
  local policy = policies[text] or policy_of_plan(text)
  headers:add("ratelimit-policy", policy.told)
  local remaining = policy.limits and headers:get("x-ratelimit-remaining")
  if not remaining then return end
  if find(remaining, ",", 1, true) then -- the upstream has said its own before
    for _, name in ipairs(LIMITS) do headers:replace(name, headers:getAtIndex(name, headers:getNumValues(name) - 1)) end
    remaining = headers:get("x-ratelimit-remaining")
  end
  local limit, reset = headers:get("x-ratelimit-limit"), headers:get("x-ratelimit-reset")
  headers:add("ratelimit", (item_of(policy, limit, remaining, reset)))
end

-- What a limit filter has said, `from_end` places from the end: limit, remaining, reset; or nil.
local function said(headers, from_end)
  local found = {}
  for n, name in ipairs(LIMITS) do
    local at = headers:getNumValues(name) - from_end
    found[n] = at >= 0 and headers:getAtIndex(name, at) or nil
  end
  return found[1] and found[2] and found[3] and found or nil
end

-- The same for a call of a limited operation. Answers pass the filters from behind: what the upstream says of its own
-- limits comes first, then what is left of the plan's, then of the operation's. Where an operation's limit has just been
-- taken away, its filter says nothing any more.
local function tell_operation_limits(headers, plan_text, text)
  local operation = policies[text] or policy_of_operation(text)
  local plan = plan_text and (policies[plan_text] or policy_of_plan(plan_text))
  headers:add("ratelimit-policy", operation.told .. (plan and ", " .. plan.told or ""))
  local own = said(headers, 1)
  if own and own[1] ~= operation.second_burst and own[1] ~= operation.minute_burst then own = nil end
  local theirs = plan and plan.limits and said(headers, own and 2 or 1)
  local strictest = own or theirs
  if not strictest then return end
  local told, left, seconds
  if own then told, left, seconds = item_of(operation, own[1], own[2], own[3]) end
  if theirs then
    local of_plan, left_of_plan, its_seconds = item_of(plan, theirs[1], theirs[2], theirs[3])
    if not own then
      told = of_plan
    elseif left_of_plan < left or left_of_plan == left and its_seconds > seconds then
      strictest, told = theirs, of_plan .. ", " .. told
    else
      told = told .. ", " .. of_plan
    end
  end
  for n, name in ipairs(LIMITS) do headers:replace(name, strictest[n]) end
  headers:add("ratelimit", told)
end
