"""Under ASGI."""

from collections.abc import AsyncIterator

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from helpdesk.prompts import handbook_prompt
from warmcache import BlockDelta, Intent, prewarm_prefix, stream_response


@csrf_exempt
async def typing(request: HttpRequest) -> JsonResponse:
    attempt = await prewarm_prefix(
        handbook_prompt(), intent=Intent.TYPING, label="helpdesk", subject=request.POST["visitor"]
    )
    return JsonResponse({"state": attempt.warmth.state, "reason": attempt.decision.reason})


@csrf_exempt
async def ask(request: HttpRequest) -> StreamingHttpResponse:
    turn = ({"type": "text", "text": request.POST["question"]},)

    async def answer() -> AsyncIterator[str]:
        async with stream_response(
            handbook_prompt(), turn, max_tokens=1024, label="helpdesk", subject=request.POST["visitor"]
        ) as response:
            async for event in response:
                if isinstance(event, BlockDelta) and event.kind == "text":
                    yield event.text

    return StreamingHttpResponse(answer(), content_type="text/plain")
