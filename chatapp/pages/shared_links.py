"""Shared links: how a person makes and revokes one, and the page that everybody with its address may read."""

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_POST

from chatapp import front_end
from chatapp.conversations import access, shared_links
from chatapp.pages.accounts import signed_in
from chatapp.pages.forms import ShareForm
from chatapp.pages.post_limits import refusal_of_reader


@login_required
@require_POST
def share(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Form field `days`; answers 201 with the link's `url`, which is told only here, and `expires_at`, or an error with
    a `message` to show."""
    user = signed_in(request)
    form = ShareForm(request.POST)
    try:
        conversation = access.conversation_for_user(user, conversation_id)
        if not form.is_valid():
            raise shared_links.ShareRefused(400, gettext("Say for how long the link works."))
        link, token = shared_links.create(user, conversation, days=form.cleaned_data["days"])
    except shared_links.ShareRefused as refused:
        return JsonResponse({"message": refused.message}, status=refused.status)
    except access.NotFound:
        raise Http404 from None
    url = request.build_absolute_uri(reverse("shared", args=[token]))
    return JsonResponse({"url": url, "expires_at": link.expires_at}, status=201)


@login_required
@require_POST
def revoke(request: HttpRequest, link_id: int) -> HttpResponse:
    if not shared_links.revoke(signed_in(request), link_id):
        raise Http404
    return redirect("account")


@require_GET
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """The page behind a link. It is the same for everybody, whether or not they are signed in; 404 once it is over."""
    return _unlisted(refusal_of_reader(request) or _page(request, token))


def _page(request: HttpRequest, token: str) -> HttpResponse:
    page = shared_links.read(token)
    if page is None:
        return render(request, "404.html", status=404)
    return render(request, "chat/shared.html", {"page": page, "maths_styles": front_end.MATHS_STYLES})


def _unlisted(response: HttpResponse) -> HttpResponse:
    """No search engine lists it, no cache keeps it when it is revoked, and no link on it tells where the reader was."""
    response.headers["X-Robots-Tag"] = "noindex, nofollow, noarchive"
    response.headers["Referrer-Policy"] = "no-referrer"
    patch_cache_control(response, no_store=True, private=True)
    return response
