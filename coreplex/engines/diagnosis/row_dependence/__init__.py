"""Dependence between rows (groups, time, near duplicates), measured by comparing cross-validation splits."""
