"""The pages of analytics: figures over time, compared with the period before."""
