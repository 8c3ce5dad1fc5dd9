"""Mail by SMTP, for whoever has no account: one server from the settings, one message at a time, no transaction open.

Whether it went out is a value; what failed for now is tried again by whoever keeps the queue (`Errand`).
"""

import asyncio
import contextlib
import smtplib
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from typing import Literal
from urllib.parse import unquote, urlsplit

from shared.settings import SettingRefused, Settings

_TIMEOUT = 20.0
"""Seconds for each word of the conversation."""
_NEAR = {"localhost", "127.0.0.1", "::1"}
_SCHEMES: dict[str, tuple[Literal["plain", "starttls", "tls"], int]] = {
    "smtp": ("plain", 25),
    "smtp+starttls": ("starttls", 587),
    "smtps": ("tls", 465),
}


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in, and as whom."""

    host: str
    port: int
    security: Literal["plain", "starttls", "tls"]
    sender: str
    user: str | None = None
    password: str | None = None


@dataclass(frozen=True, slots=True)
class Undelivered:
    """It did not go out: unreachable, login_refused, mail_refused, address_refused; `final`: nor will it ever."""

    reason: str
    final: bool = False


def read_mail_server(settings: Settings) -> MailServer | None:
    """The server that the settings name, if any. Raises `SettingRefused`, which never says what stands there."""
    if settings.smtp_url is None:
        return None
    url = urlsplit(settings.smtp_url.get_secret_value())
    try:
        security, usual = _SCHEMES[url.scheme]
        host, port = url.hostname or "", url.port or usual
    except (KeyError, ValueError):
        raise _refused("smtp://…, smtp+starttls://… または smtps://… の形で / in one of these forms") from None
    if not host or url.path.strip("/") or url.query or url.fragment:
        raise _refused("[利用者:パスワード@]サーバー[:ポート] だけを / nothing but [user:password@]host[:port]")
    if url.password is not None and security == "plain" and host not in _NEAR:
        raise _refused(
            "パスワードは暗号化した接続でだけ送ります / a password is sent over an encrypted connection only"
        )
    if settings.mail_from is None or "@" not in settings.mail_from or any(c in settings.mail_from for c in "\r\n<>,"):
        raise SettingRefused(
            "TSUNAGU_MAIL_FROM に差出人のアドレスを一つ / TSUNAGU_MAIL_FROM needs one address to send mail from"
        )
    user, password = (None if part is None else unquote(part) for part in (url.username, url.password))
    return MailServer(host, port, security, settings.mail_from, user, password)


def _refused(words: str) -> SettingRefused:
    return SettingRefused(f"TSUNAGU_SMTP_URL: {words}")


def message(*, to: str, subject: str, text: str, number: str, server: MailServer, at: datetime) -> EmailMessage:
    """A message in plain text that asks for no automatic answer. `number` makes a repeat recognisable."""
    made = EmailMessage(policy=SMTP)
    made["From"], made["To"], made["Subject"] = server.sender, to, subject
    made["Date"] = at
    made["Message-ID"] = f"<{number}@{server.sender.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(text, cte="base64")
    return made


async def send(server: MailServer, mail: EmailMessage) -> Undelivered | None:
    """Hand it in; None: the server has taken it."""
    return await asyncio.to_thread(_hand_in, server, mail)


def _hand_in(server: MailServer, mail: EmailMessage) -> Undelivered | None:
    try:
        with _connected(server) as connection:
            connection.send_message(mail)
    except smtplib.SMTPAuthenticationError:
        return Undelivered("login_refused")
    except smtplib.SMTPRecipientsRefused as refused:
        return Undelivered("address_refused", final=all(code >= 500 for code, _ in refused.recipients.values()))
    except smtplib.SMTPServerDisconnected:
        return Undelivered("unreachable")
    except smtplib.SMTPException:
        return Undelivered("mail_refused")
    except OSError:
        return Undelivered("unreachable")
    return None


@contextlib.contextmanager
def _connected(server: MailServer) -> Iterator[smtplib.SMTP]:
    if server.security == "tls":
        context = ssl.create_default_context()
        connection: smtplib.SMTP = smtplib.SMTP_SSL(server.host, server.port, timeout=_TIMEOUT, context=context)
    else:
        connection = smtplib.SMTP(server.host, server.port, timeout=_TIMEOUT)
    try:
        if server.security == "starttls":
            connection.starttls(context=ssl.create_default_context())
        if server.user is not None:
            connection.login(server.user, server.password or "")
        yield connection
    finally:
        # What was taken is taken, whether or not the goodbye is heard.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            connection.quit()
