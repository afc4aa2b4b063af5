"""Documents of the page that an invitation's mail leads to. They run on every server, whatever its operator has listed."""

OFFER = """query InvitationOffer($token: String!) {
  invitation(token: $token) { email projectName isRegistered invitedBy { name } }
}"""
REGISTER = """mutation RegisterInvited($input: RegisterInput!) {
  register(input: $input) { user { id } }
}"""
LOGIN = """mutation LoginInvited($input: LoginInput!) {
  login(input: $input) { csrfToken }
}"""
ACCEPT = """mutation AcceptInvitation($token: String!) {
  acceptInvitation(input: {token: $token}) { member { id } }
}"""
OWN = (OFFER, REGISTER, LOGIN, ACCEPT)
