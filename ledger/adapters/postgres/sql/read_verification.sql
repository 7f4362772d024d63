select verdict from verifications
