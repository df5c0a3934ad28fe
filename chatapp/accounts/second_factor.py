"""The second factor: six digits of an authenticator app, or one of ten recovery codes. By django-otp, which slows
guesses down and takes no code twice."""

import secrets
from base64 import b32encode
from collections.abc import Sequence

import segno
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest
from django_otp import match_token
from django_otp.plugins.otp_static.models import StaticDevice, StaticToken
from django_otp.plugins.otp_totp.models import TOTPDevice

from chatapp.models import User

SESSION_KEY = "second_factor"
"""In the session of somebody who has shown a code."""
RECOVERY_CODES = 10


def is_on(user: User) -> bool:
    return TOTPDevice.objects.filter(user=user, confirmed=True).exists()


def is_missing(request: HttpRequest) -> bool:
    """Whether this session may not do what staff may: it has to show a second factor first, or to set one up."""
    return settings.STAFF_SECOND_FACTOR and not request.session.get(SESSION_KEY, False)


def is_right(user: User, code: str) -> bool:
    """Uses the code up. Too many wrong ones make the right one wrong for a while, which doubles each time."""
    return match_token(user, code.strip().replace(" ", "")) is not None


def begin(user: User) -> TOTPDevice:
    """What is being set up; the same until it is confirmed."""
    device, _ = TOTPDevice.objects.get_or_create(user=user, confirmed=False, defaults={"name": "app"})
    return device


def secret_of(device: TOTPDevice) -> str:
    """For those who type it into the app."""
    return b32encode(device.bin_key).decode().rstrip("=")


def picture_of(device: TOTPDevice) -> str:
    """The QR code for the app, as SVG within a page."""
    return segno.make(device.config_url, micro=False).svg_inline(
        scale=4, border=4, dark="#000", light="#fff", svgclass="code", lineclass=None, title="QR code"
    )


def confirm(user: User, code: str) -> Sequence[str] | None:
    """Turns the second factor on and returns its recovery codes, which are shown once. None: the code is wrong."""
    with transaction.atomic():
        device = TOTPDevice.objects.select_for_update().filter(user=user, confirmed=False).first()
        if device is None or not device.verify_token(code.strip().replace(" ", "")):
            return None
        remove(user, but=device)
        device.confirmed = True
        device.save(update_fields=["confirmed"])
        spare = StaticDevice.objects.create(user=user, name="recovery")
        codes = [secrets.token_hex(5) for _ in range(RECOVERY_CODES)]
        StaticToken.objects.bulk_create(StaticToken(device=spare, token=code) for code in codes)
    return codes


def remove(user: User, *, but: TOTPDevice | None = None) -> None:
    TOTPDevice.objects.filter(user=user).exclude(pk=but.pk if but else None).delete()
    StaticDevice.objects.filter(user=user).delete()
