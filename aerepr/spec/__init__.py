"""The words of a TOML file, validated."""
