"""Reply logs on a real Redis: the contract between two processes' worth of them, bounds, and Redis going away."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis

from chatapp.replies import redis_logs
from chatapp.replies.log import LogGap
from chatapp.replies.logs import KEPT_SECONDS
from chatapp.replies.redis_logs import LAST, RedisReplyLogs
from tests.chatapp.replies.logs_contract import ReplyLogsContract, found, read
from tests.chatapp.replies.reply_frames import append_next, finished, new_log, write
from tests.chatapp.sockets import eventually, in_time
from tests.servers.redis_server import RedisServer

BOUND = 4_000


@asynccontextmanager
async def process(redis_server: RedisServer, **options: int) -> AsyncIterator[RedisReplyLogs]:
    logs = RedisReplyLogs(redis_server.url, **options)
    try:
        yield logs
    finally:
        await logs.aclose()


@pytest.fixture(autouse=True)
def soon_back(monkeypatch) -> None:
    monkeypatch.setattr(redis_logs, "REST_SECONDS", 0.05)


@pytest.fixture
async def owner(redis_server: RedisServer) -> AsyncIterator[RedisReplyLogs]:
    async with process(redis_server) as logs:
        yield logs


@pytest.fixture
async def reader(redis_server: RedisServer) -> AsyncIterator[RedisReplyLogs]:
    async with process(redis_server) as logs:
        yield logs


@pytest.fixture
async def redis(redis_server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(redis_server.url) as client:
        yield client


@pytest.fixture
def outage(redis_server: RedisServer) -> Iterator[RedisServer]:
    """May be killed and started; runs again afterwards."""
    yield redis_server
    redis_server.stop()
    redis_server.start()


def key_of(log) -> str:
    return f"chat:reply:{log.reply_id.hex}"


class TestRedisReplyLogs(ReplyLogsContract):
    pass


async def test_frames_of_a_moment_are_one_entry(owner, reader, redis) -> None:
    log = new_log()
    owner.publish(log)

    write(log, 200)
    await found(reader, log, seq=200)

    assert await redis.xlen(key_of(log)) <= 3


async def test_a_stream_lives_a_quarter_of_an_hour_after_its_last_write(owner, reader, redis) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 2)
    await found(reader, log, seq=2)

    assert KEPT_SECONDS - 60 < await redis.ttl(key_of(log)) <= KEPT_SECONDS


async def test_many_readers_of_one_process_share_one_replica(owner, reader) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 20)
    await found(reader, log, seq=20)

    replicas = {id(await reader.find(log.reply_id)) for _ in range(20)}

    assert len(replicas) == 1


async def test_a_long_reply_is_bounded_in_redis_and_a_new_reader_gets_all_of_it(redis_server, redis) -> None:
    async with process(redis_server, max_held_bytes=BOUND) as owner, process(redis_server) as reader:
        log = new_log(max_held_bytes=BOUND)
        owner.publish(log)
        sizes = []
        for _ in range(40):
            write(log, 10)
            await found(reader, log, seq=log.seq)
            sizes.append(sum(len(value) for _, f in await redis.xrange(key_of(log)) for value in f.values()))

        async with process(redis_server) as later:
            seen = await found(later, log, seq=log.seq)

    whole_text = sum(len(view.text.encode()) for view in log.blocks())
    assert max(sizes) < 4 * whole_text + 3 * BOUND
    assert seen.snapshot() == log.snapshot()
    assert not seen.leads_on_from(0)


async def test_a_reader_that_is_left_behind_meets_a_gap_and_then_gets_the_whole_state(redis_server) -> None:
    async with process(redis_server, max_held_bytes=BOUND) as owner, process(redis_server) as reader:
        log = new_log(max_held_bytes=BOUND)
        owner.publish(log)
        write(log, 5)
        seen = await found(reader, log, seq=5)
        reading = asyncio.create_task(read(seen))
        write(log, 500)

        with pytest.raises(LogGap):
            await in_time(reading)
        seen = await found(reader, log, seq=505)

        assert seen.snapshot() == log.snapshot()


# An owner that was given up


async def test_what_an_owner_that_was_given_up_says_is_refused(owner, reader, redis, redis_server) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 10)
    seen = await found(reader, log, seq=10)
    await reader.end(log.reply_id, finished(log, status="interrupted"))
    await found(reader, log, seq=11)

    write(log, 10)
    log.append(finished(log))
    await asyncio.sleep(3 * redis_logs.WRITE_SECONDS)

    assert [frame.seq for frame in await in_time(read(seen))] == list(range(1, 12))
    newest = await redis.xrevrange(key_of(log), count=1)
    assert newest[0][0] == f"{LAST}-0".encode()
    async with process(redis_server) as later:
        assert (await found(later, log, seq=11)).finished.status == "interrupted"


async def test_an_end_that_misses_frames_makes_readers_begin_anew(owner, reader) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 10)
    seen = await found(reader, log, seq=10)

    await reader.end(log.reply_id, finished(log, seq=5, status="interrupted"))

    with pytest.raises(LogGap):
        await in_time(read(seen))


async def test_how_far_a_log_has_come_is_asked_anew(owner, reader) -> None:
    log = new_log()

    async def last_seq() -> int | None:
        return await reader.last_seq(log.reply_id)

    assert await last_seq() is None
    owner.publish(log)
    write(log, 7)

    async def is_seven() -> bool:
        return await last_seq() == 7

    await eventually(is_seven)


# Redis going away


async def test_local_readers_read_on_while_redis_is_away(owner, outage) -> None:
    log = new_log()
    owner.publish(log)
    local = await owner.find(log.reply_id)
    reading = asyncio.create_task(read(local))
    write(log, 10)

    outage.kill()
    for _ in range(10):
        write(log, 3)
        await asyncio.sleep(0.02)
    log.append(finished(log))

    assert local is log
    assert [frame.seq for frame in await in_time(reading)] == list(range(1, 42))


async def test_readers_elsewhere_miss_nothing_once_redis_is_back_empty(owner, reader, outage) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 10)
    seen = await found(reader, log, seq=10)
    reading = asyncio.create_task(read(seen))

    outage.kill()
    for _ in range(10):
        write(log, 3)
        await asyncio.sleep(0.02)
    outage.start()
    write(log, 5)
    log.append(finished(log))

    assert await in_time(reading) == await read(log)


async def test_a_reply_that_ended_while_redis_was_away_is_read_elsewhere_afterwards(owner, reader, outage) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 10)
    await found(reader, log, seq=10)
    outage.kill()
    write(log, 10)
    log.append(finished(log))
    await asyncio.sleep(0.1)

    outage.start()
    seen = await found(reader, log, seq=21)

    assert await in_time(read(seen)) == await read(log)


async def test_a_stream_that_vanishes_is_written_anew(owner, reader, redis, redis_server) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 10)
    await found(reader, log, seq=10)

    await redis.flushall()
    write(log, 10)

    async with process(redis_server) as later:
        seen = await found(later, log, seq=20)
        assert seen.snapshot() == log.snapshot()
        assert seen.leads_on_from(0)


async def test_without_redis_nothing_is_found_and_a_stand_in_leads_to_the_log_later(owner, reader, outage) -> None:
    log = new_log()
    owner.publish(log)
    write(log, 20)
    stored = log.snapshot()
    outage.kill()
    assert await reader.find(log.reply_id) is None

    stand_in = reader.stand_in(log.head, stored)
    reading = asyncio.create_task(read(stand_in, stored.seq))
    write(log, 20)
    outage.start()
    with pytest.raises(LogGap):
        await in_time(reading)
    seen = await found(reader, log, seq=40)

    assert seen is not stand_in
    assert seen.snapshot() == log.snapshot()


async def test_a_reader_that_comes_before_the_log_is_there_gets_it_from_its_first_frame(owner, reader) -> None:
    log = new_log()

    stand_in = reader.stand_in(log.head, log.snapshot())
    reading = asyncio.create_task(read(stand_in))
    owner.publish(log)
    write(log, 20)
    log.append(finished(log))

    assert await in_time(reading) == await read(log)


async def test_a_close_without_redis_ends_in_time(owner, outage, caplog) -> None:
    caplog.set_level(logging.ERROR)
    log = new_log()
    owner.publish(log)
    append_next(log)
    outage.kill()

    await in_time(owner.aclose())


async def test_what_stands_under_the_key_of_another_reply_is_not_given(owner, reader, redis, caplog) -> None:
    log, other = new_log(), new_log()
    owner.publish(log)
    write(log, 5)
    await found(reader, log, seq=5)

    await redis.copy(key_of(log), key_of(other))

    assert await reader.find(other.reply_id) is None
    caplog.clear()


def test_many_replies_are_written_less_often_but_never_late():
    pauses = [redis_logs.pause_after(logs) for logs in (0, 1, 20, 1_000)]

    assert pauses == sorted(pauses)
    assert pauses[0] == redis_logs.WRITE_SECONDS
    assert pauses[-1] == redis_logs.MOST_WRITE_SECONDS
