"""Under ASGI."""

import logging
from collections.abc import AsyncIterator

from django.http import HttpRequest, JsonResponse, StreamingHttpResponse
from django.views.decorators.csrf import csrf_exempt

from helpdesk.prompts import handbook_prompt
from warmcache import Intent, prewarm_prefix, stream_response

logger = logging.getLogger(__name__)


@csrf_exempt
async def typing(request: HttpRequest) -> JsonResponse:
    attempt = await prewarm_prefix(
        handbook_prompt(), intent=Intent.TYPING, label="helpdesk", subject=request.POST["visitor"]
    )
    return JsonResponse({"state": attempt.warmth.state, "reason": attempt.decision.reason})


@csrf_exempt
async def ask(request: HttpRequest) -> StreamingHttpResponse:
    async def answer() -> AsyncIterator[str]:
        async with stream_response(
            handbook_prompt(),
            request.POST["question"],
            max_tokens=1024,
            label="helpdesk",
            subject=request.POST["visitor"],
        ) as response:
            async for text in response.texts():
                yield text
        logger.info("found: %s", response.result.settlement.warmth)

    return StreamingHttpResponse(answer(), content_type="text/plain")
