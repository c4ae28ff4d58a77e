"""The languages of conditions and mappings: rules, CEL, JMESPath and regular expressions."""
