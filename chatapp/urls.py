"""The HTTP paths of the site."""

from django.contrib import admin
from django.contrib.auth.views import LogoutView
from django.urls import path

from chatapp.pages import views

urlpatterns = [
    path("", views.conversation_page, name="home"),
    path("c/<uuid:conversation_id>/", views.conversation_page, name="conversation"),
    path("c/<uuid:conversation_id>/rename/", views.rename_conversation, name="rename_conversation"),
    path("c/<uuid:conversation_id>/delete/", views.delete_conversation, name="delete_conversation"),
    path("c/<uuid:conversation_id>/restore/", views.restore_conversation, name="restore_conversation"),
    path("c/<uuid:conversation_id>/pin/", views.pin_conversation, name="pin_conversation"),
    path("c/<uuid:conversation_id>/archive/", views.archive_conversation, name="archive_conversation"),
    path("c/<uuid:conversation_id>/export.md", views.export_markdown, name="export_markdown"),
    path("c/<uuid:conversation_id>/export.json", views.export_json, name="export_json"),
    path("import/", views.import_archive, name="import_archive"),
    path("attachments/", views.upload_attachment, name="upload_attachment"),
    path("attachments/<uuid:attachment_id>/", views.picture, name="picture"),
    path("attachments/<uuid:attachment_id>/delete/", views.delete_attachment, name="delete_attachment"),
    path("accounts/login/", views.SignInView.as_view(), name="login"),
    path("accounts/logout/", LogoutView.as_view(), name="logout"),
    path("sign-in/<str:token>/", views.sign_in_link, name="sign_in_link"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("admin/", admin.site.urls),
]
