"""The texts that users read, in English and Brazilian Portuguese."""
