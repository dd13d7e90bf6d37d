-- The key filter's data: the file that gateway/keys.py packs, mapped and searched; and new request ids.
--
-- key.py puts `local FILE, WORDS = …` before this text: the absolute path of the key data, or "" for the script that
-- is only validated and admits nobody; and the sentence of each reason word.

local ffi = require("ffi")
local bit = require("bit")
local band, bor, bxor, bnot = bit.band, bit.bor, bit.bxor, bit.bnot
local ror, rshift, bswap, tobit = bit.ror, bit.rshift, bit.bswap, bit.tobit
local find, sub, byte, match, gsub = string.find, string.sub, string.byte, string.match, string.gsub
local C = ffi.C

ffi.cdef [[
  typedef struct {
    char magic[8];
    uint32_t crc, keys, consumers, subscriptions, plans, restrictions, subjects;
    uint32_t networks6, operations, networks4, chosen, limited, texts;
    char spare[4];
  } portico_header;
  typedef struct {
    char sha256[32]; char id[12]; uint32_t consumer; int64_t expires; uint32_t revoked, restriction;
  } portico_key;
  typedef struct { char id[20]; uint32_t first, count, suspended; } portico_consumer;
  typedef struct { uint32_t api, id, plan, standing; int64_t starts, ends, blocked_until; } portico_subscription;
  typedef struct {
    uint32_t id, per_second, per_minute, minute_burst; uint64_t quota_day, quota_month;
  } portico_plan;
  typedef struct {
    uint32_t flags, chosen_first, chosen_count, operations_first, operations_count;
    uint32_t v4_first, v4_count, v6_first, v6_count, spare;
  } portico_restriction;
  typedef struct { char sha256[32]; uint32_t consumer, subscription; } portico_subject;
  typedef struct { char first[16], last[16]; } portico_network6;
  typedef struct { uint32_t api, at, length, spare; } portico_operation;
  typedef struct { uint32_t first, last; } portico_network4;
  typedef struct { uint32_t plan, api, at, length; } portico_limited;
  int open(const char *path, int flags, ...);
  int close(int fd);
  int64_t lseek(int fd, int64_t offset, int whence);
  void *mmap(void *address, size_t length, int protection, int flags, int fd, int64_t offset);
  int munmap(void *address, size_t length);
  int inet_pton(int family, const char *text, void *address);
  int memcmp(const void *a, const void *b, size_t length);
  long getrandom(void *buffer, size_t length, unsigned int flags);
  int getpid(void);
  int gettid(void);
]]

-- CRC-32 ----------------------------------------------------------------------------------------------------------

local CRC = ffi.new("uint32_t[4][256]")
for i = 0, 255 do
  local c = i
  for _ = 1, 8 do c = bxor(rshift(c, 1), band(-band(c, 1), 0xEDB88320)) end
  CRC[0][i] = c
end
for i = 0, 255 do
  for k = 1, 3 do CRC[k][i] = bxor(rshift(CRC[k - 1][i], 8), CRC[0][band(CRC[k - 1][i], 255)]) end
end

-- Of `length` bytes at `at`, as a signed 32-bit number; four bytes a step, so that 6 MB take a few milliseconds.
local function crc32(at, length)
  local bytes, words, c = ffi.cast("const uint8_t *", at), ffi.cast("const uint32_t *", at), -1
  local whole = rshift(length, 2)
  for i = 0, whole - 1 do
    c = bxor(c, words[i])
    c = bxor(
      CRC[3][band(c, 255)], CRC[2][band(rshift(c, 8), 255)], CRC[1][band(rshift(c, 16), 255)], CRC[0][rshift(c, 24)]
    )
  end
  for i = whole * 4, length - 1 do c = bxor(rshift(c, 8), CRC[0][band(bxor(c, bytes[i]), 255)]) end
  return bnot(c)
end

-- The key data ----------------------------------------------------------------------------------------------------

local keys, consumers, subscriptions, key_count
local plans, plan_count, restrictions, networks6, operations, networks4, chosen, texts
local subjects, subject_count
local limited, limited_count = nil, 0

local function map_data()
  local fd = C.open(FILE, 0)
  if fd < 0 then error("cannot open the key data " .. FILE) end
  local size = tonumber(C.lseek(fd, 0, 2))
  local at = C.mmap(nil, size, 1, 2, fd, 0)
  C.close(fd)
  if tonumber(ffi.cast("intptr_t", at)) == -1 then error("cannot map the key data " .. FILE) end
  -- Global, so that it is unmapped when this Lua state ends and no sooner: the pointers below do not keep it.
  PORTICO_MAPPED = ffi.gc(at, function(address) C.munmap(address, size) end)
  local start = ffi.cast("const char *", at)
  local header = ffi.cast("const portico_header *", start)
  if size < 64 or ffi.string(header.magic, 8) ~= "PORTICO\3" then error(FILE .. " is not key data of this version") end
  local after = 64
  local function table_of(kind, count)
    local found = ffi.cast("const " .. kind .. " *", start + after)
    after = after + count * ffi.sizeof(kind)
    return found
  end
  key_count = header.keys
  keys = table_of("portico_key", header.keys)
  consumers = table_of("portico_consumer", header.consumers)
  subscriptions = table_of("portico_subscription", header.subscriptions)
  plan_count = header.plans
  plans = table_of("portico_plan", header.plans)
  restrictions = table_of("portico_restriction", header.restrictions)
  subject_count = header.subjects
  subjects = table_of("portico_subject", header.subjects)
  networks6 = table_of("portico_network6", header.networks6)
  operations = table_of("portico_operation", header.operations)
  networks4 = table_of("portico_network4", header.networks4)
  chosen = table_of("uint32_t", header.chosen)
  limited_count = header.limited
  limited = table_of("portico_limited", header.limited)
  texts = table_of("char", header.texts)
  if size ~= after then error(FILE .. " has the wrong length") end
  -- Envoy's main thread runs the script first; where that fails, the old filter stays and no worker sees this one.
  if C.getpid() == C.gettid() and crc32(start + 64, size - 64) ~= tobit(header.crc) then
    error(FILE .. " is damaged")
  end
end

if FILE ~= "" then map_data() end

-- SHA-256 ----------------------------------------------------------------------------------------------------------

local ROUNDS, FIRST = ffi.new("int32_t[64]"), ffi.new("int32_t[8]")
do -- the constants are the fractions of the cube and square roots of the first primes
  local found, n = 0, 2
  while found < 64 do
    local prime = true
    for d = 2, math.floor(math.sqrt(n)) do if n % d == 0 then prime = false end end
    if prime then
      local function fraction(root) return tobit(math.floor((root - math.floor(root)) * 4294967296)) end
      if found < 8 then FIRST[found] = fraction(math.sqrt(n)) end
      local root = n ^ (1 / 3)
      root = root - (root * root * root - n) / (3 * root * root)
      ROUNDS[found] = fraction(root)
      found = found + 1
    end
    n = n + 1
  end
end

local block, schedule, digest = ffi.new("uint8_t[64]"), ffi.new("int32_t[64]"), ffi.new("int32_t[8]")
local block_words = ffi.cast("int32_t *", block)

-- Adds `block` to what the eight words stand for.
local function compress(a0, b0, c0, d0, e0, f0, g0, h0)
  for i = 0, 15 do schedule[i] = bswap(block_words[i]) end
  for i = 16, 63 do
    local x, y = schedule[i - 15], schedule[i - 2]
    schedule[i] = tobit(schedule[i - 16] + bxor(ror(x, 7), ror(x, 18), rshift(x, 3)) + schedule[i - 7]
      + bxor(ror(y, 17), ror(y, 19), rshift(y, 10)))
  end
  local a, b, c, d, e, f, g, h = a0, b0, c0, d0, e0, f0, g0, h0
  for i = 0, 63 do
    local choice = bxor(g, band(e, bxor(f, g)))
    local t = tobit(h + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + choice + ROUNDS[i] + schedule[i])
    h, g, f, e = g, f, e, tobit(d + t)
    local u = tobit(bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(c, bxor(a, b))))
    d, c, b, a = c, b, a, tobit(t + u)
  end
  return tobit(a + a0), tobit(b + b0), tobit(c + c0), tobit(d + d0), tobit(e + e0), tobit(f + f0), tobit(g + g0),
    tobit(h + h0)
end

local function to_digest(a, b, c, d, e, f, g, h)
  digest[0], digest[1], digest[2], digest[3] = bswap(a), bswap(b), bswap(c), bswap(d)
  digest[4], digest[5], digest[6], digest[7] = bswap(e), bswap(f), bswap(g), bswap(h)
end

local function first()
  return FIRST[0], FIRST[1], FIRST[2], FIRST[3], FIRST[4], FIRST[5], FIRST[6], FIRST[7]
end

-- Of a token's 50 bytes: one block, whose end never changes.
local function sha256(token)
  ffi.copy(block, token, 50)
  block[50], block[62], block[63] = 0x80, 0x01, 0x90
  to_digest(compress(first()))
end

-- Of any text.
local function sha256_of(text)
  local a, b, c, d, e, f, g, h = first()
  local bits = #text * 8
  local padded = text .. "\128" .. string.rep("\0", (55 - #text) % 64) .. "\0\0\0\0"
    .. string.char(band(rshift(bits, 24), 255), band(rshift(bits, 16), 255), band(rshift(bits, 8), 255), band(bits, 255))
  for at = 1, #padded, 64 do
    ffi.copy(block, sub(padded, at, at + 63), 64)
    a, b, c, d, e, f, g, h = compress(a, b, c, d, e, f, g, h)
  end
  ffi.fill(block, 64)
  to_digest(a, b, c, d, e, f, g, h)
end

-- Place of the record whose hash is in `digest`, or -1. `records` are sorted by it.
local function search(records, count)
  local low, high = 0, count - 1
  while low <= high do
    local middle = rshift(low + high, 1)
    local order = C.memcmp(digest, records[middle].sha256, 32)
    if order == 0 then return middle end
    if order < 0 then high = middle - 1 else low = middle + 1 end
  end
  return -1
end

-- `pco_` + 12 base62 + `_` + 27 base62 + 6 base62 that hold the CRC-32 of the 44 characters before. `form` is a pattern
-- for the whole, `sign` the one that stands at the 17th place.
local function is_well_formed(token, form, sign)
  if #token ~= 50 or byte(token, 17) ~= sign or not find(token, form) then return false end
  local sum = 0
  for i = 45, 50 do
    local c = byte(token, i)
    sum = sum * 62 + c - (c > 96 and 61 or c > 64 and 55 or 48)
  end
  ffi.copy(block, token, 44)
  return sum == crc32(block, 44) % 4294967296
end

-- The record of what has these 50 characters, or nil and the reason.
local function known(text)
  if not keys then error("validated only") end
  sha256(text)
  local place = search(keys, key_count)
  if place < 0 then return nil, "key_unknown" end
  return keys[place]
end

-- Who calls an API under the name `claim`, or nil.
local function look_up_subject(api, claim)
  if not subjects then error("validated only") end
  sha256_of(api .. "\n" .. claim)
  local place = search(subjects, subject_count)
  return place >= 0 and subjects[place] or nil
end

-- The key's record, or nil and the reason.
local function look_up(token)
  if not is_well_formed(token, "^pco_%w+_%w+$", 95) then return nil, "key_malformed" end
  return known(token)
end

-- The subscription of a consumer to an API that is valid now, the one with the best standing, or nil. Found by halving,
-- for a consumer may have thousands.
local function look_up_subscription(consumer, api, now)
  local low, last = consumer.first, consumer.first + consumer.count - 1
  local high = last + 1
  while low < high do
    local middle = rshift(low + high, 1)
    if subscriptions[middle].api < api then low = middle + 1 else high = middle end
  end
  local best
  while low <= last and subscriptions[low].api == api do
    local record = subscriptions[low]
    if tonumber(record.starts) <= now and now < tonumber(record.ends) and (not best or record.standing < best.standing)
    then
      best = record
    end
    low = low + 1
  end
  return best
end

-- The limits and quotas of a plan, or nil where it has neither.
local function look_up_plan(id)
  local low, high = 0, plan_count - 1
  while low <= high do
    local middle = rshift(low + high, 1)
    local plan = plans[middle]
    if plan.id == id then return plan end
    if id < plan.id then high = middle - 1 else low = middle + 1 end
  end
end

-- Request ids: UUIDv7, so that a call is found through its time ---------------------------------------------------

-- The random halves are made 400 at a time, in a loop that LuaJIT compiles; one by one they would be interpreted, for
-- 2 µs each.
local TAILS = 400
local tails, next_tail = {}, TAILS
local random, tail = ffi.new("uint8_t[?]", TAILS * 10), ffi.new("char[22]")
local DIGITS = ffi.new("char[16]", "0123456789abcdef")
local milliseconds, head = -1, ""

local function make_tails()
  if C.getrandom(random, TAILS * 10, 0) ~= TAILS * 10 then error("no random bytes") end
  for n = 0, TAILS - 1 do
    local at, out = random + n * 10, 0
    for i = 0, 9 do
      local value = at[i]
      if i == 0 then value = bor(0x70, band(value, 15)) elseif i == 2 then value = bor(0x80, band(value, 63)) end
      tail[out], tail[out + 1] = DIGITS[rshift(value, 4)], DIGITS[band(value, 15)]
      out = out + 2
      if i == 1 or i == 3 then
        tail[out] = 45
        out = out + 1
      end
    end
    tails[n + 1] = ffi.string(tail, 22)
  end
  next_tail = 0
end

local function new_id(now)
  if now ~= milliseconds then
    milliseconds = now
    head = string.format("%08x-%04x-", math.floor(now / 65536), now % 65536)
  end
  if next_tail == TAILS then make_tails() end
  next_tail = next_tail + 1
  return head .. tails[next_tail]
end
