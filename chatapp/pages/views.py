"""Pages and plain HTTP endpoints."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

import msgspec
from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db import DatabaseError
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.http.request import split_domain_port
from django.middleware.csrf import get_token
from django.shortcuts import redirect, render
from django.templatetags.static import static
from django.urls import reverse
from django.utils import timezone
from django.utils.crypto import constant_time_compare
from django.utils.http import content_disposition_header
from django.utils.translation import gettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from chatapp import front_end
from chatapp.accounts import second_factor, sign_in_links
from chatapp.conversations import access, attachments, conversations, deletions, exports, imports, lists, shared_links
from chatapp.models import Assistant, Conversation, User
from chatapp.pages import post_limits
from chatapp.pages.forms import AssistantForm, RenameForm
from chatapp.pages.sign_in import BACKEND, sign_in
from chatapp.process import metrics as prometheus
from chatapp.process import upstream
from chatapp.process.health import health
from chatapp.protocol import MAX_ATTACHMENTS, ConversationsPage
from chatapp.protocol.limits import LIMITS, TIMINGS
from chatapp.replies import estimates

SOCKET_PATH = "/ws/chat/"


@never_cache
@login_required
@require_GET
def conversation_page(request: HttpRequest, conversation_id: UUID | None = None) -> HttpResponse:
    """The chat page: a new chat, or one of the person's own conversations."""
    user = _signed_in(request)
    conversation = _conversation_or_404(user, conversation_id) if conversation_id else None
    assistants = list(access.assistants_for(user))
    if not assistants:
        return render(request, "chat/no_assistants.html", status=503)
    assistant = conversation.assistant if conversation else assistants[0]
    listed = lists.first_page(user)
    context = {
        "assistant": assistant,
        "assistants": assistants,
        "conversation": conversation,
        "conversations": listed.conversations,
        "config": _page_config(request, assistants, listed, conversation, assistant),
        "share_days": shared_links.DAYS,
        "share_default_days": shared_links.DEFAULT_DAYS,
    }
    return render(request, "chat/conversation.html", context)


@login_required
@require_POST
def rename_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Form field `title`; answers 204, and every open page is notified."""
    conversation = _conversation_or_404(_signed_in(request), conversation_id)
    form = RenameForm(request.POST)
    if not form.is_valid():
        return JsonResponse({"errors": form.errors}, status=400)
    conversations.rename(conversation, form.cleaned_data["title"])
    return HttpResponse(status=204)


@login_required
@require_POST
def delete_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Answers 204, and every open page is notified. For a moment, `restore` undoes it."""
    deletions.delete(_conversation_or_404(_signed_in(request), conversation_id))
    return HttpResponse(status=204)


@login_required
@require_POST
def restore_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Undoes a deletion. Answers 204, and every open page is notified; 404 once it is deleted for good."""
    try:
        deletions.restore(_signed_in(request), conversation_id)
    except access.NotFound:
        raise Http404 from None
    return HttpResponse(status=204)


@login_required
@require_POST
def pin_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Form field `off`: any value takes the pin away. Answers 204, and every open page is notified; 409 with a
    `message` if too many are pinned."""
    conversation = _conversation_or_404(_signed_in(request), conversation_id)
    if not conversations.pin(conversation, is_pinned=not request.POST.get("off")):
        told = gettext("%(count)d conversations are pinned already. Take the pin from one of them.")
        return JsonResponse({"message": told % {"count": LIMITS["pinned_conversations"]}}, status=409)
    return HttpResponse(status=204)


@login_required
@require_POST
def archive_conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Form field `off`: any value brings it back to the list. Answers 204, and every open page is notified."""
    conversation = _conversation_or_404(_signed_in(request), conversation_id)
    conversations.archive(conversation, is_archived=not request.POST.get("off"))
    return HttpResponse(status=204)


@never_cache
@login_required
@require_http_methods(["GET", "POST"])
def change_assistant(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Another assistant from here on: GET with `assistant_id` tells the estimated `tokens` that the next message would
    read anew, and their price `usd` or null; POST does it and answers 204, or 409 with a `message` to show."""
    user = _signed_in(request)
    conversation = _conversation_or_404(user, conversation_id)
    form = AssistantForm(request.GET if request.method == "GET" else request.POST)
    if not form.is_valid():
        return JsonResponse({"message": gettext("Say which assistant.")}, status=400)
    assistant_id = form.cleaned_data["assistant_id"]
    try:
        if request.method == "GET":
            # Everything is hashed for it: it counts like a form.
            if too_many := post_limits.refusal(request):
                return too_many
            conversation.assistant = access.assistant_for_user(user, assistant_id)
            reading = estimates.reading_anew(conversation)
            return JsonResponse({"tokens": reading.tokens, "usd": _dollars(reading.usd)})
        if conversations.go_on_with(user, conversation_id, assistant_id):
            return HttpResponse(status=204)
    except access.NotFound:
        raise Http404 from None
    return JsonResponse(
        {"message": gettext("A reply is being written here. Stop it, or wait for its end.")}, status=409
    )


@never_cache
@login_required
@require_GET
def export_markdown(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The shown branch as a file of Markdown."""
    return _download(exports.as_markdown(_conversation_or_404(_signed_in(request), conversation_id)))


@never_cache
@login_required
@require_GET
def export_json(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """All branches as a file of JSON."""
    return _download(exports.as_json(_conversation_or_404(_signed_in(request), conversation_id)))


@login_required
@require_POST
def import_archive(request: HttpRequest) -> HttpResponse:
    """Multipart field `file`; answers 201 with the number of `conversations`, or an error with a `message` to show."""
    user = _signed_in(request)
    try:
        file = request.FILES.get("file")
        if file is None:
            raise imports.ImportRefused(400, gettext("No file came with the request."))
        count = imports.store(user, file.read())
    except imports.ImportRefused as refusal:
        return JsonResponse({"message": refusal.message}, status=refusal.status)
    except access.NotFound:
        raise Http404 from None
    return JsonResponse({"conversations": count}, status=201)


@login_required
@require_POST
def upload_attachment(request: HttpRequest) -> HttpResponse:
    """Multipart field `file`; answers 201 with `id`, `name`, `chars`, `bytes`, `width` and `height`, or an error with a
    `message` to show."""
    try:
        file = request.FILES.get("file")
        if file is None:
            raise attachments.AttachmentRefused(400, gettext("No file came with the request."))
        attachment = attachments.store(_signed_in(request), name=file.name or "", data=file.read())
    except attachments.AttachmentRefused as refusal:
        return JsonResponse({"message": refusal.message}, status=refusal.status)
    found = {
        "id": attachment.pk,
        "name": attachment.name,
        "chars": len(attachment.text),
        "bytes": attachment.size_bytes,
        "width": attachment.width,
        "height": attachment.height,
    }
    return JsonResponse(found, status=201)


@login_required
@require_GET
def picture(request: HttpRequest, attachment_id: UUID) -> HttpResponse:
    """A picture of the person's own. Nobody else may get it from a cache, and nothing in it can act as a page."""
    try:
        found = access.picture_for_user(_signed_in(request), attachment_id)
    except access.NotFound:
        raise Http404 from None
    headers = {
        "Cache-Control": "private, no-store",
        "Content-Disposition": content_disposition_header(as_attachment=False, filename=found.name) or "inline",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
    }
    return HttpResponse(bytes(found.picture or b""), content_type=found.media_type, headers=headers)


@login_required
@require_POST
def delete_attachment(request: HttpRequest, attachment_id: UUID) -> HttpResponse:
    """Answers 204; 404 if the attachment is sent already or is not the person's."""
    try:
        attachments.take_back(_signed_in(request), attachment_id)
    except access.NotFound:
        raise Http404 from None
    return HttpResponse(status=204)


def too_many_sign_ins(request: HttpRequest, credentials: dict[str, Any] | None) -> HttpResponse:
    """The answer to every sign-in, also with the right password, while too many have failed."""
    minutes = round(settings.AXES_COOLOFF_TIME.total_seconds() / 60)
    answer = render(request, "registration/too_many_sign_ins.html", {"minutes": minutes}, status=429)
    answer.headers["Retry-After"] = str(minutes * 60)
    return answer


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def sign_in_link(request: HttpRequest, token: str) -> HttpResponse:
    """The one-time link that `demo` prints: GET shows a button, so that no link preview uses it up; POST signs in."""
    if not _is_local(request):
        raise Http404
    now = timezone.now()
    if request.method == "POST" and (user := sign_in_links.consume(token, now=now)):
        return sign_in(request, user, backend=BACKEND, then=reverse("home"))
    link = sign_in_links.find(token)
    state = link.state(now) if link else "unknown"
    context = {"username": link.user.get_username() if link else "", "state": state}
    status = {"ready": 200, "unknown": 404}.get(state, 410)
    return render(request, "registration/sign_in_link.html", context, status=status)


async def healthz(request: HttpRequest) -> HttpResponse:
    """The process is alive. Checks nothing else, so that a database outage does not get healthy processes killed."""
    return HttpResponse("ok\n", content_type="text/plain")


@never_cache
def readyz(request: HttpRequest) -> HttpResponse:
    """Whether the process can serve: 200, or 503 with the reason as one word. What it can do without is told, too."""
    trouble = health.trouble()
    lacks = "" if trouble else health.lacks()
    told = trouble or (f"ok without {lacks}" if lacks else "ok")
    return HttpResponse(f"{told}\n", content_type="text/plain", status=503 if trouble else 200)


@never_cache
@require_GET
def metrics(request: HttpRequest) -> HttpResponse:
    """For Prometheus with the bearer token `METRICS_TOKEN`, and for people who may read the ledger in the admin."""
    try:
        may_read = _may_read_metrics(request)
    except DatabaseError:
        told = "The database does not answer, so nobody is signed in: ask with the bearer token METRICS_TOKEN.\n"
        return HttpResponse(told, content_type="text/plain", status=503)
    if not may_read:
        told = "Ask with the bearer token that METRICS_TOKEN sets, or sign in as staff that may view warm-ups.\n"
        return HttpResponse(told, content_type="text/plain", status=401, headers={"WWW-Authenticate": "Bearer"})
    try:
        return HttpResponse(prometheus.exposition(), content_type=prometheus.CONTENT_TYPE)
    except TimeoutError:
        return HttpResponse("The other processes do not answer.\n", content_type="text/plain", status=503)


@require_GET
def favicon(request: HttpRequest) -> HttpResponse:
    """For browsers that request it before they have read a page."""
    return redirect(static("img/favicon.svg"))


def _download(export: exports.Export) -> HttpResponse:
    disposition = content_disposition_header(as_attachment=True, filename=export.name) or "attachment"
    return HttpResponse(export.content, content_type=export.content_type, headers={"Content-Disposition": disposition})


def _signed_in(request: HttpRequest) -> User:
    return cast(User, request.user)


def _may_read_metrics(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and settings.METRICS_TOKEN:
        return constant_time_compare(token.strip(), settings.METRICS_TOKEN)
    user = request.user
    may_view = user.is_active and user.is_staff and user.has_perm("warmcache.view_warmup")
    return may_view and not second_factor.is_missing(request)


def _dollars(usd: Decimal | None) -> str | None:
    return None if usd is None else format(usd.quantize(Decimal("0.0001")), "f")


def _conversation_or_404(user: User, conversation_id: UUID) -> Conversation:
    try:
        return access.conversation_for_user(user, conversation_id)
    except access.NotFound:
        raise Http404 from None


# Headers that a proxy adds. Behind a proxy, a loopback address does not say where the person is.
PROXY_HEADERS = ("Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip")


def _is_local(request: HttpRequest) -> bool:
    """Whether the request comes from this machine and is addressed to it, without a proxy in between."""
    if any(header in request.headers for header in PROXY_HEADERS):
        return False
    host, _ = split_domain_port(request.get_host())
    return upstream.is_loopback(host) and upstream.is_loopback(request.META.get("REMOTE_ADDR", ""))


def _page_config(
    request: HttpRequest,
    assistants: Sequence[Assistant],
    listed: ConversationsPage,
    conversation: Conversation | None,
    assistant: Assistant,
) -> dict[str, Any]:
    """The configuration of the page's scripts, as plain JSON values."""
    user = _signed_in(request)
    return {
        "socket_path": SOCKET_PATH,
        "csrf_token": get_token(request),
        "conversation_id": str(conversation.id) if conversation else None,
        "assistant_id": assistant.pk,
        "assistants": [msgspec.to_builtins(conversations.assistant_view(each)) for each in assistants],
        "conversations": [msgspec.to_builtins(each) for each in listed.conversations],
        "next_conversations": listed.next,
        "upstream": upstream.name(),
        "release": front_end.release(),
        # The same as in `ready`, for what the page needs before there is a socket.
        "timings": TIMINGS,
        "limits": LIMITS,
        "attachments": {
            "max_bytes": attachments.MAX_FILE_BYTES,
            "max_total_bytes": attachments.MAX_MESSAGE_BYTES,
            "max_count": MAX_ATTACHMENTS,
            "accept": attachments.ACCEPTED,
            "kept_seconds": int(attachments.UNSENT_LIFETIME.total_seconds()),
        },
        "import_accept": imports.ACCEPTED,
        "user": {"id": user.pk, "username": user.get_username(), "is_staff": user.is_staff},
        "urls": {
            "home": reverse("home"),
            "conversation": "/c/",
            "admin": reverse("admin:index") if user.is_staff else None,
            "sign_out": reverse("logout"),
            "attachments": reverse("upload_attachment"),
            "maths_styles": static(front_end.MATHS_STYLES),
            "import": reverse("import_archive"),
        },
    }
