"""Traces: what a collector is sent of a reply, and that none of it is what people wrote."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from chatapp.replies import traces
from chatapp.replies.timeline import Timeline
from tests.chatapp.sockets import Tab
from tests.servers import PATIENCE_SECONDS

pytestmark = pytest.mark.django_db(transaction=True)
CANARY = "yellow-canary-7431"


@pytest.fixture
def collector() -> Iterator[tuple[str, Queue[bytes]]]:
    """An address for traces, and what arrives there."""
    arrived: Queue[bytes] = Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # noqa: N802  the name of the base class
            arrived.put(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces", arrived
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def traced(collector, monkeypatch) -> Iterator[Queue[bytes]]:
    monkeypatch.setattr(traces, "_provider", None)
    address, arrived = collector
    traces.begin(OTLPSpanExporter(endpoint=address, compression=None))
    yield arrived
    traces._provider.shutdown()


async def test_a_reply_is_one_trace_from_its_frame_to_its_end_without_content(open_tab, ann, assistant, traced):
    tab: Tab = await open_tab(ann)
    await tab.say(f"Is {CANARY} a bird?", assistant_id=assistant.pk)
    finished = await tab.until("reply.finished")
    said = "".join(frame["text"] for frame in tab.frames if frame["type"] == "reply.delta")

    await traces.flush(PATIENCE_SECONDS)
    sent = traced.get(timeout=PATIENCE_SECONDS)

    (of_resource,) = ExportTraceServiceRequest.FromString(sent).resource_spans
    spans = sorted(of_resource.scope_spans[0].spans, key=lambda span: (span.start_time_unix_nano, span.parent_span_id))
    assert [span.name for span in spans] == ["reply", "store", "prepare", "wait for first text", "stream"]
    whole, *parts = spans
    assert {part.parent_span_id for part in parts} == {whole.span_id}
    assert [part.end_time_unix_nano for part in parts] == [
        *(part.start_time_unix_nano for part in parts[1:]),
        whole.end_time_unix_nano,
    ]
    facts = {each.key: each.value.string_value or each.value.int_value for each in whole.attributes}
    assert facts["warmcache.reply"] == finished["reply_id"]
    assert facts["warmcache.person"] == str(ann.pk)
    assert facts["warmcache.status"] == "complete"
    assert facts["gen_ai.usage.output_tokens"] == finished["usage"]["output_tokens"]
    assert CANARY.encode() not in sent
    assert said.split(".")[0].encode() not in sent


def test_a_reply_that_asked_nobody_has_fewer_parts():
    timeline = Timeline(received_at=1.0, committed_at=2.0, called_at=None, first_text_at=None, ended_at=5.0)

    assert list(traces._parts_of(timeline)) == [("store", 1.0, 2.0), ("prepare", 2.0, 5.0)]


def test_where_no_exporter_is_configured_there_is_no_tracer(monkeypatch):
    monkeypatch.setattr(traces, "_provider", None)

    traces.begin()

    assert traces._provider is None


class Hanging(SpanExporter):
    def __init__(self) -> None:
        self.may_end = threading.Event()

    def export(self, spans: object) -> SpanExportResult:
        self.may_end.wait(PATIENCE_SECONDS)
        return SpanExportResult.SUCCESS


async def test_a_collector_that_hangs_holds_neither_a_reply_nor_the_end_up(open_tab, ann, assistant, monkeypatch):
    monkeypatch.setattr(traces, "_provider", None)
    collector = Hanging()
    traces.begin(collector)
    tab: Tab = await open_tab(ann)
    await tab.say("Hello", assistant_id=assistant.pk)

    finished = await tab.until("reply.finished")
    await traces.flush(0.0)

    assert finished["status"] == "complete"
    assert not collector.may_end.is_set()
    collector.may_end.set()
    traces._provider.shutdown()
