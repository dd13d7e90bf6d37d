"""How commands speak: our errors are sentences in a terminal too."""

import click

from portal.errors import PortalError


class Spoken(click.Command):
    """A command that ends with our sentence and status 1 when one of our errors is raised."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except PortalError as error:
            raise click.ClickException(str(error)) from error
