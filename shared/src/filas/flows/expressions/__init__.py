"""The languages of conditions and mappings: rules, CEL and JMESPath."""
