"""The torch modules that the settings in `hyprepro.models` build; settings are read without importing torch."""
