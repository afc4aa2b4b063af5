"""What is loaded of accounts."""

from coreplex.account.table import User
from resolvers.loading import rows

users = rows(User)
