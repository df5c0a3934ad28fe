"""The allowances on Redis, shared by all processes: budgets, trust and expectations. Only numbers, times and digests.

    <namespace>:sum:<account>        what was charged, a whole number
    <namespace>:trust:<account>      "<unused> <next_at> <time of each open one>", as in `core.guards.Trust`
    <namespace>:expected:<hash>      "<readable_at> <expires_at> <the rest as JSON>"
    <namespace>:missed:by_time       sorted set of those hashes by the time at which they count as missed

Each script is one atomic step. The scripts repeat the rules of `core.guards.Trust`: the contract suite runs both
against each other. An emptied Redis has no open account: whoever must not begin a new day opens it with what is spent.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict

from warmcache.core.guards import (
    DAY_SECONDS,
    Adjust,
    Change,
    Charge,
    Claim,
    Draw,
    Expectation,
    Pay,
    Refusal,
    Strike,
    Terms,
    Undo,
    Unopened,
)
from warmcache.core.ports import Clock
from warmcache.stores.redis_link import RedisLink, ScriptCall

TRUST_LIVES_SECONDS = 3 * DAY_SECONDS
"""Longer than any wait and than the day over which open draws count."""

EXPECTED_LIVES_SECONDS = DAY_SECONDS
"""Extra time after the entry counts as missed, so that none is lost if all processes pause."""

MAX_MISSED_AT_ONCE = 100

TRUST = f"""
local now, day = tonumber(ARGV[1]), {DAY_SECONDS}
local function trust_of(key)
  local words, open = {{}}, {{}}
  for word in string.gmatch(redis.call('GET', key) or '', '%S+') do words[#words + 1] = tonumber(word) end
  for i = 3, #words do
    if words[i] > now - day then open[#open + 1] = words[i] end
  end
  return {{unused = words[1] or 0, next_at = words[2] or 0, open = open}}
end
local function keep(key, trust)
  if trust.unused == 0 and trust.next_at == 0 and #trust.open == 0 then return redis.call('DEL', key) end
  local text = string.format('%d %.6f', trust.unused, trust.next_at)
  for _, moment in ipairs(trust.open) do text = text .. string.format(' %.6f', moment) end
  redis.call('SET', key, text, 'PX', {TRUST_LIVES_SECONDS * 1000})
end
local function terms_at(at)
  return {{free = tonumber(ARGV[at]), first = tonumber(ARGV[at + 1]), longest = tonumber(ARGV[at + 2]),
          most = tonumber(ARGV[at + 3])}}
end
local function pause(terms, unused)
  return math.min(terms.longest, terms.first * 2 ^ math.min(unused - terms.free, 60))
end
"""
RESERVE = (
    TRUST
    + """
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 6
  if ARGV[at] == 'charge' and ARGV[at + 4] == '1' and redis.call('EXISTS', key) == 0 then return {-1, ''} end
end
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 6
  if ARGV[at] == 'charge' then
    local spent = tonumber(redis.call('GET', key) or '0')
    if spent + tonumber(ARGV[at + 1]) > tonumber(ARGV[at + 2]) then return {i, ''} end
  else
    local trust, terms = trust_of(key), terms_at(at + 1)
    if trust.unused >= terms.free and now < trust.next_at then return {i, string.format('%.6f', trust.next_at)} end
    if terms.most > 0 and #trust.open >= terms.most then
      return {i, string.format('%.6f', trust.open[1] + day)}
    end
  end
end
for i, key in ipairs(KEYS) do
  local at = 2 + (i - 1) * 6
  if ARGV[at] == 'charge' then
    redis.call('INCRBY', key, ARGV[at + 1])
    if redis.call('PTTL', key) < 0 then redis.call('PEXPIRE', key, ARGV[at + 3]) end
  else
    local trust, terms = trust_of(key), terms_at(at + 1)
    if ARGV[at + 5] == '1' or trust.unused >= terms.free then
      trust.unused = trust.unused + 1
      if trust.unused >= terms.free then trust.next_at = now + pause(terms, trust.unused) end
      if terms.most > 0 then trust.open[#trust.open + 1] = now else trust.open = {} end
      keep(key, trust)
    end
  end
end
return {0, ''}
"""
)
SETTLE = (
    TRUST
    + """
local count = #KEYS / 2
for i = 1, count do
  local key, at = KEYS[i], 2 + (i - 1) * 6
  local kind, amount, terms = ARGV[at], tonumber(ARGV[at + 1]), terms_at(at + 2)
  if kind == 'adjust' then
    if redis.call('EXISTS', key) == 1 then redis.call('INCRBY', key, ARGV[at + 1]) end
  else
    local trust = trust_of(key)
    if kind == 'pay' then
      trust.unused, trust.next_at = 0, 0
      table.remove(trust.open)
    elseif kind == 'undo' then
      trust.unused = math.max(0, trust.unused - 1)
      if trust.unused < terms.free then trust.next_at = 0 end
      table.remove(trust.open)
    elseif trust.unused < terms.free or now >= trust.next_at then
      trust.unused = math.min(trust.unused + amount, math.max(trust.unused + 1, terms.free))
      trust.next_at = trust.unused >= terms.free and now + pause(terms, trust.unused) or 0
    end
    keep(key, trust)
    if kind == 'pay' or kind == 'undo' then redis.call('DEL', KEYS[count + i]) end
  end
end
"""
)
EXPECT = """
for i = 2, #KEYS do
  local at = 1 + (i - 2) * 4
  redis.call('SET', KEYS[i], ARGV[at + 2], 'PX', ARGV[at + 3])
  redis.call('ZADD', KEYS[1], ARGV[at + 1], ARGV[at])
end
"""
TAKE_MET = """
local taken = {}
for i = 2, #KEYS do
  local text = redis.call('GET', KEYS[i])
  if text then
    local readable_at, expires_at = string.match(text, '^(%S+) (%S+) ')
    if tonumber(readable_at) <= tonumber(ARGV[1]) and tonumber(ARGV[1]) < tonumber(expires_at) then
      redis.call('DEL', KEYS[i])
      redis.call('ZREM', KEYS[1], ARGV[i])
      taken[#taken + 1] = text
    end
  end
end
return taken
"""
TAKE_MISSED = """
local taken = {}
local missed = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'LIMIT', 0, ARGV[2])
for _, name in ipairs(missed) do
  local key = ARGV[3] .. name
  local text = redis.call('GET', key)
  redis.call('DEL', key)
  redis.call('ZREM', KEYS[1], name)
  if text then taken[#taken + 1] = text end
end
return taken
"""


class RedisAllowances:
    """`Allowances` for any number of processes. Shares the connection of the store that makes it."""

    def __init__(self, *, clock: Clock, link: RedisLink) -> None:
        self._clock = clock
        self._link = link
        self._reserve = link.redis.register_script(RESERVE)
        self._settle = link.redis.register_script(SETTLE)
        self._expect = link.redis.register_script(EXPECT)
        self._take_met = link.redis.register_script(TAKE_MET)
        self._take_missed = link.redis.register_script(TAKE_MISSED)

    async def reserve(self, claims: Sequence[Claim]) -> Refusal | Unopened | None:
        if not claims:
            return None
        arguments = [word for claim in claims for word in _claim_words(claim)]
        async with self._link.command():
            number, until = await self._reserve(
                keys=[self._account_key(claim) for claim in claims], args=[repr(self._clock.now()), *arguments]
            )
        if number < 0:
            return Unopened()
        return Refusal(claim=claims[number - 1], until=float(until) if until else None) if number else None

    async def open(self, charges: Sequence[Charge]) -> None:
        async with self._link.command():
            for charge in charges:
                lives_ms = round(charge.lives_seconds * 1000)
                await self._link.redis.set(self._account_key(charge), charge.amount, nx=True, px=lives_ms)

    async def settle(self, changes: Sequence[Change]) -> None:
        if changes:
            await self._link.run(self._settling(changes))

    async def expect(self, expectations: Sequence[Expectation]) -> None:
        if not expectations:
            return
        now = self._clock.now()
        arguments: list[str | int] = []
        for expectation in expectations:
            lives_ms = round((max(0.0, expectation.missed_at - now) + EXPECTED_LIVES_SECONDS) * 1000)
            arguments += [expectation.prefix_hash, repr(expectation.missed_at), _written(expectation), lives_ms]
        keys = [self._link.key("expected", expectation.prefix_hash) for expectation in expectations]
        async with self._link.command():
            await self._expect(keys=[self._missed_key, *keys], args=arguments)

    async def take_met(
        self, hashes: Sequence[str], *, started_at: float, changes: Sequence[Change] = ()
    ) -> Sequence[Expectation]:
        if not hashes:
            await self.settle(changes)
            return []
        keys = [self._missed_key, *(self._link.key("expected", prefix_hash) for prefix_hash in hashes)]
        taking = ScriptCall(script=self._take_met, keys=keys, arguments=[repr(started_at), *hashes])
        taken, *_ = await self._link.run(taking, *([self._settling(changes)] if changes else []))
        return [_read(text) for text in taken]

    async def take_missed(self) -> Sequence[Expectation]:
        arguments: list[str | int] = [repr(self._clock.now()), MAX_MISSED_AT_ONCE, self._link.key("expected", "")]
        async with self._link.command():
            taken = await self._take_missed(keys=[self._missed_key], args=arguments)
        return [_read(text) for text in taken]

    async def forget(self, accounts: Sequence[str]) -> None:
        keys = [self._link.key(kind, account) for account in accounts for kind in ("sum", "trust", "stop")]
        if keys:
            async with self._link.command():
                await self._link.redis.delete(*keys)

    def _settling(self, changes: Sequence[Change]) -> ScriptCall:
        accounts = [self._account_key(change) for change in changes]
        stops = [self._link.key("stop", change.account) for change in changes]
        arguments = [word for change in changes for word in _change_words(change)]
        return ScriptCall(
            script=self._settle, keys=[*accounts, *stops], arguments=[repr(self._clock.now()), *arguments]
        )

    @property
    def _missed_key(self) -> str:
        return self._link.key("missed", "by_time")

    def _account_key(self, item: Claim | Change) -> str:
        return self._link.key("sum" if isinstance(item, Charge | Adjust) else "trust", item.account)


def _claim_words(claim: Claim) -> list[str | float]:
    if isinstance(claim, Draw):
        return ["draw", *_terms_words(claim.terms), int(claim.is_counted)]
    return ["charge", claim.amount, claim.limit, round(claim.lives_seconds * 1000), int(claim.must_be_open), ""]


def _change_words(change: Change) -> list[str | float]:
    match change:
        case Adjust():
            return ["adjust", change.amount, "", "", "", ""]
        case Pay():
            return ["pay", 0, "", "", "", ""]
        case Undo():
            return ["undo", 0, *_terms_words(change.terms)]
        case Strike():
            return ["strike", change.count, *_terms_words(change.terms)]


def _terms_words(terms: Terms) -> list[str | float]:
    return [terms.free, terms.first_pause_seconds, terms.longest_pause_seconds, terms.most_unused_in_a_day]


def _written(expectation: Expectation) -> str:
    return f"{expectation.readable_at!r} {expectation.expires_at!r} {json.dumps(asdict(expectation))}"


def _read(text: bytes | str) -> Expectation:
    words = text.decode() if isinstance(text, bytes) else text
    return Expectation(**json.loads(words.split(" ", 2)[2]))
