select secret from leg_secret
