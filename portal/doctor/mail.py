"""Whether letters reach people. Connects and signs in; sends nothing."""

from collections.abc import Iterator

from portal import notify
from portal.config import Config
from portal.doctor.finding import Finding


def findings(config: Config) -> Iterator[Finding]:
    if config.smtp_url:
        try:
            notify.knock(config)
        except notify.NotSent as error:
            yield Finding("mail", str(error), "Mend the server, or correct PORTAL_SMTP_URL. Letters wait until then.")
        return
    letters = sum(1 for _ in (config.data_dir / "mail").glob("*.eml"))
    if config.confirm_email:
        yield Finding(
            "mail",
            "People who sign up must open a link that is mailed to them, and no mail server is set: nobody gets it.",
            f"Set PORTAL_SMTP_URL; until then the letters lie in {config.data_dir / 'mail'}.",
        )
    elif letters:
        yield Finding(
            "mail",
            f"No mail server is set, so that {letters:,} letter{'s lie' if letters > 1 else ' lies'} in "
            f"{config.data_dir / 'mail'}: links for new passwords reach nobody by themselves.",
            "Set PORTAL_SMTP_URL, or hand the links over by yourself and delete the files.",
            is_note=True,
        )
