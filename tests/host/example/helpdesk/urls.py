from django.urls import path

from helpdesk import async_views, blocking_views

urlpatterns = [
    path("typing/", async_views.typing),
    path("ask/", async_views.ask),
    path("blocking/typing/", blocking_views.typing),
    path("blocking/ask/", blocking_views.ask),
]
