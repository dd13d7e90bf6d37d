"""Every setting, read once and checked once. A wrong value stops the start and names the setting."""

import ipaddress
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, tzinfo
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.utils import getaddresses
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class WrongSetting(Exception):
    """`str()` names the setting and says what it may be. Raised before anything is started."""


def _text(value: str) -> str:
    return value


def _switch(value: str) -> bool:
    try:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[value.lower()]
    except KeyError:
        raise ValueError("must be 1 or 0") from None


def _port(value: str) -> int:
    port = int(value) if value.isdecimal() else -1
    if not 1 <= port <= 65_535:
        raise ValueError("must be a port number from 1 to 65535")
    return port


def _count(value: str) -> int:
    if not value.isdecimal():
        raise ValueError("must be a whole number, 0 or more")
    return int(value)


def _megabytes(value: str) -> int:
    if not value.isdecimal() or not 1 <= int(value) <= 50:
        raise ValueError("must be a whole number of megabytes from 1 to 50")
    return int(value)


def _one_or_more(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise ValueError("must be a whole number, 1 or more")
    return int(value)


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise ValueError("must be an IP address, such as 127.0.0.1 or 0.0.0.0") from None


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"} or parts.query:
        raise ValueError("must be http:// or https:// and a host, without a path")
    return value.rstrip("/")


def _smtp(value: str) -> str:
    wrong = "must be smtp:// or smtps:// and a host, such as smtp://user:password@mail.example.com:587"
    try:
        parts = urlsplit(value)
        fits = parts.scheme in {"smtp", "smtps"} and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError(wrong)
    return value


def _mailbox(value: str) -> str:
    found = getaddresses([value])
    try:
        fits = len(found) == 1 and value.isprintable() and bool(Address(addr_spec=found[0][1]).domain)
    except (ValueError, HeaderParseError):
        fits = False
    if not fits:
        raise ValueError("must be one address, such as Portico <portico@example.com>")
    return value


def _zone(value: str) -> str:
    try:
        _zone_of(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("must be a time zone that this machine knows, such as UTC or Europe/Berlin") from None
    return value


def _zone_of(name: str) -> tzinfo:
    # UTC is known without the machine's tables, which small containers come without.
    return UTC if name == "UTC" else ZoneInfo(name)


def _keys(value: str) -> tuple[str, ...]:
    keys = tuple(key for part in value.split(",") if (key := part.strip()))
    if not keys or any(len(key) < 32 for key in keys):
        raise ValueError("must be keys of 32 characters or more, separated by commas")
    return keys


def _one_of(*choices: str) -> Callable[[str], str]:
    def check(value: str) -> str:
        if value not in choices:
            raise ValueError(f"must be one of {', '.join(choices)}")
        return value

    return check


def _folder(value: str) -> Path:
    return Path(value).expanduser().absolute()


def _file(value: str) -> str:
    return str(Path(value).expanduser().absolute())


def _setting(default: Any, read: Callable[[str], Any], says: str, *, secret: bool = False) -> Any:
    return field(default=default, metadata={"read": read, "says": says, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one process: `PORTAL_<NAME>` in the environment, for secrets also `PORTAL_<NAME>_FILE`."""

    data_dir: Path = _setting(
        Path("var").absolute(), _folder, "Folder for the SQLite file, generated secrets, Envoy's files and mail."
    )
    database_url: str = _setting(
        "", _text, "SQLAlchemy address of the database; empty means SQLite in the data folder.", secret=True
    )
    secret_key: str = _setting(
        "",
        _text,
        "Signs sessions and forms; empty means one that is made once and kept in the data folder.",
        secret=True,
    )
    encryption_keys: tuple[str, ...] = _setting(
        (),
        _keys,
        "Seal stored secrets: texts of 32 characters or more, separated by commas, newest first; "
        "empty means one that is made once and kept in the data folder.",
        secret=True,
    )
    url: str = _setting("", _url, "Where people reach the portal. All links start with it; other Host headers get 400.")
    gateway_url: str = _setting("", _url, "Where clients reach the gateway. Snippets and docs start with it.")
    bind: str = _setting("127.0.0.1", _address, "Address that the portal listens on.")
    port: int = _setting(8000, _port, "Port that the portal listens on.")
    web_workers: int = _setting(1, _one_or_more, "Processes that serve pages.")
    web_threads: int = _setting(128, _one_or_more, "Threads of each; a waiting console send holds one.")
    trusted_hops: int = _setting(0, _count, "Proxies in front of the portal whose X-Forwarded-* are believed.")
    gateway_bind: str = _setting("127.0.0.1", _address, "Address that the gateway listens on.")
    gateway_port: int = _setting(8080, _port, "Port that the gateway listens on.")
    gateway_workers: int = _setting(0, _count, "Envoy's worker threads; 0 means one for each core.")
    gateway_trusted_hops: int = _setting(
        0, _count, "Proxies in front of the gateway whose X-Forwarded-For is believed."
    )
    gateway_tls_cert: str = _setting(
        "",
        _file,
        "File with the gateway's certificate and those above it (PEM); with it the gateway speaks https. "
        "A replaced file is taken while running.",
    )
    gateway_tls_key: str = _setting("", _file, "File with the private key of that certificate (PEM, no password).")
    node_name: str = _setting(socket.gethostname(), _text, "Name of this machine's node; one holder at a time.")
    upstream_loopback: bool = _setting(False, _switch, "1 allows upstreams on this very machine (`make run` sets it).")
    upstream_private: bool = _setting(True, _switch, "0 refuses upstreams in private networks.")
    public_catalogue: bool = _setting(
        False, _switch, "1 shows the catalogue and the docs of public APIs to people who have not signed in."
    )
    sign_up: bool = _setting(True, _switch, "0 closes sign-up; administrators then invite or add people.")
    smtp_url: str = _setting(
        "",
        _smtp,
        "Mail server: smtp://user:password@host:587 (STARTTLS) or smtps://…:465; "
        "empty means that mail is written to files in the data folder.",
        secret=True,
    )
    mail_from: str = _setting(
        "",
        _mailbox,
        "Sender of mail, such as Portico <portico@example.com>; empty means portico at the host of PORTAL_URL.",
    )
    confirm_email: bool = _setting(
        None,
        _switch,
        "1 lets people who sign up in only after they opened a link mailed to them; "
        "empty means 1 where PORTAL_SMTP_URL is set, as mail reaches nobody without.",
    )
    require_mfa: str = _setting(
        "nobody",
        _one_of("nobody", "administrators", "everybody"),
        "Who must have a second factor: nobody, administrators or everybody. "
        "Who has none sees only the page that sets it up.",
    )
    session_idle_minutes: int = _setting(60, _one_or_more, "Minutes without use after which a session ends.")
    session_hours: int = _setting(24, _one_or_more, "Hours after which a session ends in any case.")
    remember_days: int = _setting(
        30, _one_or_more, "Days that “Stay signed in on this device” lasts, used or not; instead of both limits above."
    )
    call_days: int = _setting(30, _one_or_more, "Days that single calls are kept; charts live on in the roll-ups.")
    notice_days: int = _setting(90, _one_or_more, "Days that notices are kept, and the log of what channels were sent.")
    import_limit: int = _setting(50, _megabytes, "Megabytes that an imported OpenAPI document may have, at most 50.")
    api_per_minute: int = _setting(
        600,
        _count,
        "Requests to the REST API that an access token may send in a minute of the clock; 0 means any number.",
    )
    quota_timezone: str = _setting(
        "UTC",
        _zone,
        "Time zone in which the days and months of quotas begin, such as Europe/Berlin; "
        "the same on all machines of an installation.",
    )
    log_format: str = _setting("text", _one_of("text", "json"), "Form of the log on standard output.")
    log_level: str = _setting("INFO", _one_of("DEBUG", "INFO", "WARNING", "ERROR"), "Least level that is logged.")
    log_file: str = _setting("", _text, "Also log to this file, rotated at 10 MB, five kept; empty means not.")
    sentry_dsn: str = _setting("", _text, "Reports errors to Sentry; empty means not.", secret=True)
    metrics_token: str = _setting(
        "", _text, "Bearer token for /metrics; without it only loopback may ask.", secret=True
    )

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """Raises WrongSetting for the first value that cannot be used and for a PORTAL_ name that does not exist."""
        known = {f"PORTAL_{each.name.upper()}" for each in fields(cls)}
        known |= {f"{name}_FILE" for name in known} | _FOREIGN
        for name in sorted(environ):
            if name.startswith("PORTAL_") and name not in known:
                raise WrongSetting(f"{name} is not a setting of Portico. The README lists all of them.")
        values = {}
        for each in fields(cls):
            raw = _raw(environ, f"PORTAL_{each.name.upper()}", secret=each.metadata["secret"])
            if raw is None:
                continue
            try:
                values[each.name] = each.metadata["read"](raw)
            except ValueError as error:
                shown = "" if each.metadata["secret"] else f" (it is {raw!r})"
                raise WrongSetting(f"PORTAL_{each.name.upper()} {error}{shown}.") from None
        return cls(**values)

    def __post_init__(self) -> None:
        fill = object.__setattr__
        if not self.database_url:
            fill(self, "database_url", f"sqlite:///{self.data_dir / 'portico.sqlite3'}")
        if not self.url:
            fill(self, "url", f"http://{_reachable(self.bind, '127.0.0.1')}:{self.port}")
        for given, other in (("CERT", "KEY"), ("KEY", "CERT")):
            if getattr(self, f"gateway_tls_{given.lower()}") and not getattr(self, f"gateway_tls_{other.lower()}"):
                raise WrongSetting(
                    f"PORTAL_GATEWAY_TLS_{other} must be set too, since PORTAL_GATEWAY_TLS_{given} is: "
                    "https needs both, http neither."
                )
        if not self.gateway_url:
            scheme = "https" if self.gateway_tls else "http"
            fill(self, "gateway_url", f"{scheme}://{_reachable(self.gateway_bind, 'localhost')}:{self.gateway_port}")
        if self.confirm_email is None:
            fill(self, "confirm_email", bool(self.smtp_url))
        if not self.mail_from:
            fill(self, "mail_from", f"Portico <portico@{_domain(urlsplit(self.url).hostname or '')}>")

    def __repr__(self) -> str:
        shown = {each.name: "…" if each.metadata["secret"] else getattr(self, each.name) for each in fields(self)}
        return f"Config({', '.join(f'{name}={value!r}' for name, value in shown.items())})"

    @property
    def gateway_dir(self) -> Path:
        return self.data_dir / "gateway"

    @property
    def quota_zone(self) -> tzinfo:
        return _zone_of(self.quota_timezone)

    @property
    def gateway_tls(self) -> bool:
        return bool(self.gateway_tls_cert)

    @property
    def in_clear_gateway(self) -> bool:
        """Whether others than this machine reach the gateway without encryption, or a proxy in front of it."""
        return not self.gateway_tls and not ipaddress.ip_address(self.gateway_bind).is_loopback

    @property
    def in_clear_portal(self) -> bool:
        return not ipaddress.ip_address(self.bind).is_loopback

    @property
    def in_clear(self) -> tuple[str, ...]:
        """A sentence for each listener that others than this machine reach without encryption."""
        found = []
        if self.in_clear_gateway:
            found.append(
                f"The gateway listens on {self.gateway_bind} port {self.gateway_port} in clear, so that keys can be "
                "read on the way. Set PORTAL_GATEWAY_TLS_CERT and PORTAL_GATEWAY_TLS_KEY, or let only a proxy that "
                "speaks https reach it."
            )
        if self.in_clear_portal:
            found.append(
                f"The portal listens on {self.bind} port {self.port} in clear, so that passwords can be read on the "
                "way. Let only a proxy that speaks https reach it."
            )
        return tuple(found)


_FOREIGN = {"PORTAL_TEST_POSTGRES_URL", "PORTAL_TEST_REQUIRE_ALL"}
"""Names with our prefix that only the tests read."""


def _raw(environ: Mapping[str, str], name: str, *, secret: bool) -> str | None:
    if secret and (file := environ.get(f"{name}_FILE")):
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise WrongSetting(f"{name}_FILE cannot be read: {error.strerror} ({file}).") from None
    return environ.get(name) or None


def _reachable(bind: str, loopback: str) -> str:
    address = ipaddress.ip_address(bind)
    if address.is_unspecified or bind == "127.0.0.1":
        return loopback
    return f"[{bind}]" if address.version == 6 else bind


def _domain(host: str) -> str:
    """What may stand behind the @: an IP address may not."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return host
    return "localhost"


KEPT_SECRETS = ("secret_key", "encryption_keys")
"""The names in a data folder that `kept_secret` is asked for. The second opens what is sealed in the database."""


def kept_secret(folder: Path, name: str) -> str:
    """The secret in `folder/name`, made on first use, readable by its owner only. Two first users agree on one."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / name
    draft = folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
    if not path.exists():
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text()
