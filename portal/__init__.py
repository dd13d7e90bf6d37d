"""Portico: a self-hosted API portal with its own gateway."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

from portal.config import Config

__version__ = "0.1.0"
_ROOT = Path(__file__).parent.parent


def create_app(config: Config | None = None, *, overrides: Mapping[str, Any] | None = None) -> Flask:
    """The portal as a WSGI application. `config` defaults to the environment; `overrides` are Flask's own settings.

    Raises WrongSetting before anything is opened.
    """
    from portal import cli, logs, rest, web
    from portal.config import kept_secret
    from portal.db import db, engine_options, engine_url, existing

    config = config or Config.read()
    app = Flask(__name__, root_path=str(_ROOT), template_folder="templates", static_folder="static")
    address = engine_url(config.database_url)
    if address.get_backend_name() == "sqlite":
        config.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    app.config.update(
        SECRET_KEY=config.secret_key or kept_secret(config.data_dir, "secret_key"),
        SQLALCHEMY_DATABASE_URI=existing(address),
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(address),
    )
    app.config.update(overrides or {})
    app.extensions["portico"] = config
    logs.set_up(config)
    db.init_app(app)
    web.set_up(app, config)
    rest.set_up(app)
    cli.set_up(app)
    return app


def config_of(app: Flask) -> Config:
    config: Config = app.extensions["portico"]
    return config
