"""What the account's jobs do: send mails."""

from coreplex.account import delivery, mail
from coreplex.job.kinds import JobKind, declare

declare(JobKind(mail.MAIL_SEND, delivery.run, attempts=mail.SEND_ATTEMPTS))
