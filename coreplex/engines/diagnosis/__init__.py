"""Diagnosis of a target before training: target leakage, class imbalance, usefulness of columns, dependence between rows."""
