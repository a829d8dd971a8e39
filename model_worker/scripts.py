"""What a worker does on the broker in one step, as Lua that the broker runs.

A lease is the value of `lookback:owner:{session}`: the worker's name and a fencing token, which is
greater for every owner that a session has had. A worker that was stopped and goes on after its
lease was given away still believes in it; so whatever it writes is written only where the lease
is still its own, and the broker looks at it in the same step.

`lookback:former:{session}` has the workers that had a session, did not give it back, and have not
been heard of since: they died, with it or of it. One that was only stopped or cut off takes its
name out again when it hears that it has lost the session (`Leases.survived`).
"""

from typing import Final

# Takes a session from the queue. KEYS: queue, owner, fence, alive, free, former owners.
# ARGV: session, worker, prefix of cards, lease in ms, life of the fence in s, 1 to give way,
# prefix of hands, for how long a death counts in s.
# The fencing token; 0 where the session is not to be had, -1 where it is for another worker. How
# many of its workers died lately; 1 where the last of them worked on it and on nothing else.
CLAIM: Final = """
if redis.call('EXISTS', KEYS[4]) == 0 then
  redis.call('ZREM', KEYS[1], ARGV[1])
  return {0, 0, 0}
end
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) or redis.call('EXISTS', KEYS[2]) == 1 then
  return {0, 0, 0}
end
if ARGV[6] == '1' then
  local mine = tonumber(redis.call('ZSCORE', KEYS[5], ARGV[2]) or '-1')
  local all = redis.call('ZREVRANGE', KEYS[5], 0, -1, 'WITHSCORES')
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) <= mine then break end
    if redis.call('EXISTS', ARGV[3] .. all[i]) == 1 then return {-1, 0, 0} end
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
local fence = redis.call('INCR', KEYS[3])
redis.call('EXPIRE', KEYS[3], ARGV[5])
redis.call('SET', KEYS[2], ARGV[2] .. ' ' .. fence, 'PX', ARGV[4])
local now, deaths, alone = tonumber(redis.call('TIME')[1]), 0, 0
local former = redis.call('HGETALL', KEYS[6])
for i = 1, #former, 2 do
  local name, noticed = former[i], tonumber(former[i + 1])
  if name ~= ARGV[2] and not noticed and redis.call('GET', ARGV[7] .. name) == ARGV[1] then
    alone = 1
  end
  noticed = noticed or now
  local lives = name == ARGV[2] or redis.call('EXISTS', ARGV[3] .. name) == 1
  if lives or noticed > now or now - noticed > tonumber(ARGV[8]) then
    redis.call('HDEL', KEYS[6], name)
  else
    redis.call('HSET', KEYS[6], name, noticed)
    deaths = deaths + 1
  end
end
redis.call('HSET', KEYS[6], ARGV[2], '')
redis.call('EXPIRE', KEYS[6], ARGV[5])
return {fence, deaths, deaths > 0 and alone or 0}
"""

# What an owner's scripts begin with. KEYS: owner, fence, queue. ARGV: lease, session, fencing
# token, lease in ms, life of the fence in s. A lease that ran out, or that a broker forgot which
# began anew, is taken again where nobody has had the session since: what is known of it is here
# alone.
_HELD: Final = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
if not holder then
  local newest = redis.call('GET', KEYS[2])
  if newest and tonumber(newest) ~= tonumber(ARGV[3]) then return 0 end
  redis.call('SET', KEYS[2], ARGV[3], 'EX', ARGV[5])
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[4])
  redis.call('ZREM', KEYS[3], ARGV[2])
end
"""

# All of the following give 1, or 0 where the lease is lost and nothing was done.

# Extends a lease; not by SET, which a full broker refuses.
RENEW: Final = f"""{_HELD}
redis.call('PEXPIRE', KEYS[1], ARGV[4])
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
"""

# Writes events. KEYS 4: events. ARGV 6: greatest length, life in s, messages.
WRITE: Final = f"""{_HELD}
for i = 8, #ARGV do
  redis.call('XADD', KEYS[4], 'MAXLEN', '=', ARGV[6], '*', 'm', ARGV[i])
end
redis.call('EXPIRE', KEYS[4], ARGV[7])
return 1
"""

# Sets a value. KEYS 4: key. ARGV 6: value, life in s.
STORE: Final = f"""{_HELD}
redis.call('SET', KEYS[4], ARGV[6], 'EX', ARGV[7])
return 1
"""

# Gives a lease up. KEYS 4: events, then whatever ends with the session. ARGV 6: how long events
# are still to be read, in s.
# The fence stays for a while, so that no former owner takes the session for its own again.
RELEASE: Final = f"""{_HELD}
redis.call('EXPIRE', KEYS[4], ARGV[6])
redis.call('DEL', KEYS[1], unpack(KEYS, 5))
return 1
"""

# Gives a session to the next worker. KEYS 4: former owners. ARGV 6: turn, worker.
HAND_OVER: Final = f"""{_HELD}
redis.call('DEL', KEYS[1])
redis.call('HDEL', KEYS[4], ARGV[7])
redis.call('ZADD', KEYS[3], ARGV[6], ARGV[2])
return 1
"""
