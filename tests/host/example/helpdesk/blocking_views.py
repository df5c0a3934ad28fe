"""Under WSGI: the same, without an event loop."""

from collections.abc import Iterator

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from helpdesk.prompts import handbook_prompt
from warmcache import Intent
from warmcache.sync import prewarm_prefix, stream_response


@csrf_exempt
def typing(request: HttpRequest) -> JsonResponse:
    attempt = prewarm_prefix(handbook_prompt(), intent=Intent.TYPING, label="helpdesk", subject=request.POST["visitor"])
    return JsonResponse({"state": attempt.warmth.state, "reason": attempt.decision.reason})


@csrf_exempt
def ask(request: HttpRequest) -> StreamingHttpResponse:
    def answer() -> Iterator[str]:
        with stream_response(
            handbook_prompt(),
            request.POST["question"],
            max_tokens=1024,
            label="helpdesk",
            subject=request.POST["visitor"],
        ) as response:
            yield from response.texts()

    return StreamingHttpResponse(answer(), content_type="text/plain")
