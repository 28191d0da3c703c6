"""The package that `aerepr plugins new` writes: a component a file, with `plugin_name` and `PluginName` for its name."""
