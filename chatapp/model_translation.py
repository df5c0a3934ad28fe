"""The names and explanations of the chat's fields in the admin's language.

The models have them in English, and so have the migrations, which know nothing of languages. `manage.py write_words`
collects them in `model_words.py`, where `makemessages` finds them.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from django.db.models import Field, Model
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy, override


def translate(models: Iterable[type[Model]]) -> None:
    """Once, when all models are there. What a migration is made of stays as it is: a lazy text equals its English."""
    for model in models:
        meta = model._meta
        with override(None):
            # Django makes a plural of the name by itself, with an s.
            plural = str(meta.verbose_name_plural)
        meta.verbose_name, meta.verbose_name_plural = _lazy(meta.verbose_name), _lazy(plural)
        for field in _fields(model):
            field.verbose_name, field.help_text = _lazy(field.verbose_name), _lazy(field.help_text)
            if field.choices:
                field.choices = [(value, _lazy(label)) for value, label in field.flatchoices]


def texts_of(models: Iterable[type[Model]]) -> list[str]:
    """What `translate` looks up, in English, each once."""
    return list(dict.fromkeys(text for model in models for text in _texts(model) if text))


def _texts(model: type[Model]) -> Iterator[str]:
    meta = model._meta
    yield from (str(meta.verbose_name), str(meta.verbose_name_plural))
    for field in _fields(model):
        yield from (str(field.verbose_name), str(field.help_text))
        yield from (str(label) for _, label in field.flatchoices)


def _fields(model: type[Model]) -> "Iterator[Field[Any, Any]]":
    """Those of our own; the others come with translations of their own."""
    return (field for field in model._meta.local_fields if not isinstance(_own_name(field), Promise))


def _own_name(field: "Field[Any, Any]") -> Any:
    """What the model says, before Django makes a name of its own."""
    return getattr(field, "_verbose_name", None)


def _lazy(text: Any) -> Any:
    return text if not text or isinstance(text, Promise) else gettext_lazy(str(text))
