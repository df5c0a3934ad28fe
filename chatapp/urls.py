"""The HTTP paths of the site."""

from django.conf import settings
from django.contrib import admin
from django.urls import path
from django.views.i18n import set_language

from chatapp.pages import accounts, installed_app, oidc, shared_links, views
from chatapp.pages.sign_in import SecondStepView, SignInView

urlpatterns = [
    path("", views.conversation_page, name="home"),
    path("c/<uuid:conversation_id>/", views.conversation_page, name="conversation"),
    path("c/<uuid:conversation_id>/rename/", views.rename_conversation, name="rename_conversation"),
    path("c/<uuid:conversation_id>/delete/", views.delete_conversation, name="delete_conversation"),
    path("c/<uuid:conversation_id>/restore/", views.restore_conversation, name="restore_conversation"),
    path("c/<uuid:conversation_id>/pin/", views.pin_conversation, name="pin_conversation"),
    path("c/<uuid:conversation_id>/archive/", views.archive_conversation, name="archive_conversation"),
    path("c/<uuid:conversation_id>/assistant/", views.change_assistant, name="change_assistant"),
    path("c/<uuid:conversation_id>/share/", shared_links.share, name="share_conversation"),
    path("c/<uuid:conversation_id>/export.md", views.export_markdown, name="export_markdown"),
    path("c/<uuid:conversation_id>/export.json", views.export_json, name="export_json"),
    path("shared/<str:token>/", shared_links.shared, name="shared"),
    path("import/", views.import_archive, name="import_archive"),
    path("attachments/", views.upload_attachment, name="upload_attachment"),
    path("attachments/<uuid:attachment_id>/", views.picture, name="picture"),
    path("attachments/<uuid:attachment_id>/delete/", views.delete_attachment, name="delete_attachment"),
    path("accounts/", accounts.account, name="account"),
    path("accounts/email/", accounts.change_email, name="change_email"),
    path("accounts/language/", set_language, name="set_language"),
    path("accounts/instructions/", accounts.change_instructions, name="change_instructions"),
    path("accounts/links/<int:link_id>/revoke/", shared_links.revoke, name="revoke_link"),
    path("accounts/tools/<int:consent_id>/withdraw/", accounts.withdraw_consent, name="withdraw_consent"),
    path("accounts/password/", accounts.ChangePasswordView.as_view(), name="change_password"),
    path("accounts/second-factor/", accounts.set_up_second_factor, name="second_factor"),
    path("accounts/sessions/", accounts.sessions, name="sessions"),
    path("accounts/sessions/end/", accounts.end_sessions, name="end_sessions"),
    path("accounts/sessions/<int:number>/end/", accounts.end_session, name="end_session"),
    path("accounts/export/", accounts.export, name="export_account"),
    path("accounts/delete/", accounts.delete, name="delete_account"),
    path("accounts/register/", accounts.register, name="register"),
    path("accounts/invitations/<str:token>/", accounts.invitation, name="invitation"),
    path("accounts/forgotten/", accounts.ForgottenPasswordView.as_view(), name="password_reset"),
    path("accounts/forgotten/sent/", accounts.MailSentView.as_view(), name="password_reset_done"),
    path(
        "accounts/forgotten/<str:uidb64>/<str:token>/", accounts.FromMailView.as_view(), name="password_reset_confirm"
    ),
    path("accounts/login/", SignInView.as_view(), name="login"),
    path("accounts/login/code/", SecondStepView.as_view(), name="second_step"),
    path("accounts/oidc/", oidc.begin, name="oidc"),
    path("accounts/oidc/back/", oidc.back, name="oidc_back"),
    path("accounts/oidc/connect/", oidc.connect, name="oidc_connect"),
    path("accounts/oidc/disconnect/", oidc.disconnect, name="oidc_disconnect"),
    path("accounts/logout/", oidc.SignOutView.as_view(), name="logout"),
    path("sign-in/<str:token>/", views.sign_in_link, name="sign_in_link"),
    path("healthz", views.healthz, name="healthz"),
    path("readyz", views.readyz, name="readyz"),
    path("metrics", views.metrics, name="metrics"),
    path("favicon.ico", views.favicon, name="favicon"),
    path("manifest.webmanifest", installed_app.manifest, name="manifest"),
    path(f"{settings.ADMIN_PATH}/", admin.site.urls),
]
