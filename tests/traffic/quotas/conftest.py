"""Databases with all tables, for calls of plans and subscriptions that are there."""

from tests.registry.conftest import engine, postgres_engine, postgres_schema

__all__ = ["engine", "postgres_engine", "postgres_schema"]
