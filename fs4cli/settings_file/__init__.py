"""Where settings come from: defaults, `fs4.yaml`, the environment, `--set` and options, in rising precedence."""

from fs4cli.settings_file.layers import LoadedSettings, load_settings
from fs4cli.settings_file.starter import write_starter

__all__ = ["LoadedSettings", "load_settings", "write_starter"]
