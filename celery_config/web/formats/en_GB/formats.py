"""How times are shown: to the second, with their zone."""

DATETIME_FORMAT = "j M Y, H:i:s T"
