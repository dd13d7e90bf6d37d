"""Passwords that many people have, or that follow from who somebody is: they are guessed first, however slowly.

Judged by zxcvbn, which estimates how many guesses somebody needs who tries what people choose: its lists of passwords,
names and words, keyboard rows, dates, and all these with the usual letters replaced.
https://www.usenix.org/conference/usenixsecurity16/technical-sessions/presentation/wheeler
"""

from collections.abc import Iterable

_FEWEST = 10**6
"""Guesses. The 3 000 commonest passwords, which OWASP ASVS 5.0 (6.2.4) asks to refuse, need far fewer."""
_LONGEST = 32
"""Characters. No common password is longer, and judging takes seconds for texts that were made to be slow to judge."""


def is_easily_guessed(password: str, about: Iterable[str] = ()) -> bool:
    """`about` are texts that belong to the person, such as name and address."""
    # Only who signs up or changes a password needs the lists, which take 14 MB.
    from zxcvbn import matching, scoring

    if len(password) > _LONGEST:
        return False
    words = [part for text in about for part in (text.lower(), *text.lower().replace("@", " ").split())]
    # Not `zxcvbn.zxcvbn()`, which keeps these words where other threads read theirs.
    lists = {**matching.RANKED_DICTIONARIES, "user_inputs": matching.build_ranked_dict([*words, "portico"])}
    found = scoring.most_guessable_match_sequence(password, matching.omnimatch(password, lists))
    return bool(found["guesses"] < _FEWEST)
