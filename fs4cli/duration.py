"""Wall-clock time as people write it: text in, seconds out."""

import re

from fs4cli.errors import ConfigError


def parse_duration(text: str) -> float:
    """Seconds of "90s", "20m", "8h", "1h30m" or a bare number of seconds.

    Raises:
        ConfigError: It is none of these.
    """
    match = re.fullmatch(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip().lower())
    if not match or not any(match.groups()):
        raise ConfigError(f"budget `{text}` is not a duration", hints=("write 90s, 20m, 8h or 1h30m",))
    hours, minutes, seconds = (float(value or 0) for value in match.groups())
    total = 3600 * hours + 60 * minutes + seconds
    if total <= 0:
        raise ConfigError(f"budget `{text}` is not more than nothing", hints=("write 90s, 20m, 8h or 1h30m",))
    return total
