"""How times are shown: to the second."""

DATETIME_FORMAT = "j M Y, H:i:s"
