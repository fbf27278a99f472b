/*
 * The tables of the flaws that the form of a JWE can have, and of its parts.
 *
 *	KMS_JWE_FLAW(name, message, hint)
 *	KMS_JWE_PART(name, shown)
 *
 * In messages and hints, values stand in braces:
 *	{part}		the part and "of the JWE", or "JWE" if it is the whole text
 *	{name}		the part in double quotes
 *	{found}		a number of bytes or parts that was sent
 *	{expected}	the number that it should be
 *
 * Of the content, they show only lengths, which are public.
 */
#ifndef KMS_CRYPTO_JWE_PROBLEM_LIST_H
#define KMS_CRYPTO_JWE_PROBLEM_LIST_H

#define KMS_JWE_ALGS_HINT \
	"Use \"RSA-OAEP\", \"RSA-OAEP-256\", \"RSA-OAEP-384\" or \"RSA-OAEP-512\" with an RSA key; \"ECDH-ES\", \"ECDH-ES+A128KW\", \"ECDH-ES+A192KW\" or \"ECDH-ES+A256KW\" with an EC-P256 or X25519 key."

#define KMS_JWE_FLAW_LIST(KMS_JWE_FLAW) \
\
	/* The text as a whole. */ \
	KMS_JWE_FLAW(KMS_FLAW_EMPTY, \
				 "JWE is empty", \
				 "Pass the whole text that the client made.") \
	KMS_JWE_FLAW(KMS_FLAW_NOT_JWE, \
				 "text is not a JWE", \
				 "A JWE has five parts with dots between them, or is a JSON object.") \
	KMS_JWE_FLAW(KMS_FLAW_JWS, \
				 "text is a JWS, which is signed and not encrypted", \
				 "Let the client make a JWE, which has five parts, with the device's public key.") \
	KMS_JWE_FLAW(KMS_FLAW_PARTS, \
				 "JWE does not have five parts", \
				 "The parts are header, encrypted key, IV, ciphertext and tag, with a dot between each; an empty part keeps its dots.") \
	KMS_JWE_FLAW(KMS_FLAW_CUT_OFF, \
				 "JWE has {found} of {expected} parts", \
				 "It may have been cut off: look at where it was stored or sent. The parts are header, encrypted key, IV, ciphertext and tag, with a dot between each; an empty part keeps its dots.") \
\
	/* JSON. */ \
	KMS_JWE_FLAW(KMS_FLAW_OTHER_JSON, \
				 "text is JSON, but not a JWE", \
				 "Pass the JWE itself, not the object around it.") \
	KMS_JWE_FLAW(KMS_FLAW_NOT_JSON, \
				 "{part} is not JSON", \
				 "Send one complete JSON object and nothing after it.") \
	KMS_JWE_FLAW(KMS_FLAW_NOT_UNICODE, \
				 "{part} contains text that is not Unicode", \
				 "Encode JSON as UTF-8, and write an escape above U+FFFF as a pair of surrogates.") \
	KMS_JWE_FLAW(KMS_FLAW_NUL, \
				 "{part} contains the character U+0000", \
				 "Leave the character out.") \
	KMS_JWE_FLAW(KMS_FLAW_TOO_DEEP, \
				 "{part} is nested too deeply", \
				 "At most 8 levels of objects and arrays are allowed.") \
	KMS_JWE_FLAW(KMS_FLAW_TWICE, \
				 "{part} contains a name twice in an object", \
				 "Use each name once; escapes are resolved before names are compared.") \
	KMS_JWE_FLAW(KMS_FLAW_OVERLAP, \
				 "two headers of the JWE contain the same name", \
				 "Put each parameter into one of \"protected\", \"unprotected\" and \"header\".") \
	KMS_JWE_FLAW(KMS_FLAW_NOT_OBJECT, \
				 "{part} is not a JSON object", \
				 "Send {name} as a JSON object.") \
	KMS_JWE_FLAW(KMS_FLAW_NOT_STRING, \
				 "{part} is not a JSON string", \
				 "Send {name} as a JSON string.") \
	KMS_JWE_FLAW(KMS_FLAW_NOT_ARRAY, \
				 "{part} is not a JSON array", \
				 "Send {name} as a JSON array of one object, or use the compact form.") \
	KMS_JWE_FLAW(KMS_FLAW_RECIPIENTS, \
				 "JWE does not have exactly one recipient", \
				 "Encrypt for one key, best in the compact form.") \
	KMS_JWE_FLAW(KMS_FLAW_BESIDE, \
				 "{part} stands beside \"recipients\"", \
				 "Put {name} into the element of \"recipients\".") \
	KMS_JWE_FLAW(KMS_FLAW_MISSING, \
				 "{part} is missing", \
				 "Add {name}, as RFC 7516 and RFC 7518 require.") \
\
	/* Parameters of the headers. */ \
	KMS_JWE_FLAW(KMS_FLAW_NOT_PROTECTED, \
				 "{part} is not in the protected header", \
				 "Put {name} into the protected header, because only that is authenticated.") \
	KMS_JWE_FLAW(KMS_FLAW_CRIT, \
				 "\"crit\" of the JWE is not supported", \
				 "Encrypt without critical extensions.") \
	KMS_JWE_FLAW(KMS_FLAW_ZIP, \
				 "\"zip\" of the JWE is not supported", \
				 "Encrypt without compression, because the length of compressed data tells about its content.") \
	KMS_JWE_FLAW(KMS_FLAW_RSA1_5, \
				 "\"alg\" of the JWE is \"RSA1_5\", which is not supported", \
				 "Encrypt with \"RSA-OAEP-256\" or \"RSA-OAEP\"; PKCS#1 v1.5 padding is never accepted.") \
	KMS_JWE_FLAW(KMS_FLAW_ALG, \
				 "\"alg\" of the JWE is not supported", \
				 KMS_JWE_ALGS_HINT) \
	KMS_JWE_FLAW(KMS_FLAW_ALG_OF_OTHER_KEY, \
				 "\"alg\" of the JWE does not fit the type of the key", \
				 KMS_JWE_ALGS_HINT) \
	KMS_JWE_FLAW(KMS_FLAW_ENC, \
				 "\"enc\" of the JWE is not supported", \
				 "Use \"A128GCM\", \"A192GCM\", \"A256GCM\", \"A128CBC-HS256\", \"A192CBC-HS384\" or \"A256CBC-HS512\".") \
	KMS_JWE_FLAW(KMS_FLAW_CURVE, \
				 "{part} does not fit the key", \
				 "Make the ephemeral key on the curve of the public key: \"kty\" is \"EC\" and \"crv\" \"P-256\", or \"kty\" is \"OKP\" and \"crv\" \"X25519\".") \
	KMS_JWE_FLAW(KMS_FLAW_POINT, \
				 "{part} is not a valid point of its curve", \
				 "Let the client's JWE library make an ephemeral key for each message.") \
	KMS_JWE_FLAW(KMS_FLAW_PRIVATE, \
				 "{part} is the private half of the ephemeral key", \
				 "Send only the public members of \"epk\", because anybody who has {name} can decrypt the message.") \
\
	/* Content of the parts. */ \
	KMS_JWE_FLAW(KMS_FLAW_NOT_BASE64URL, \
				 "{part} is not base64url", \
				 "Encode with the URL-safe alphabet of RFC 4648, section 5, without padding, blanks and line breaks.") \
	KMS_JWE_FLAW(KMS_FLAW_END, \
				 "{part} is not base64url: its end does not fit", \
				 "It may have been cut off: look at where it was stored or sent. Otherwise let the client send it as its JWE library made it.") \
	KMS_JWE_FLAW(KMS_FLAW_GCM_IV, \
				 "{part} has 16 bytes, but AES-GCM takes 12", \
				 "Use a 12-byte IV (RFC 7518, section 5.3). python-jose always makes 16 bytes: use \"A256CBC-HS512\" there.") \
	KMS_JWE_FLAW(KMS_FLAW_SIZE, \
				 "{part} has {found} bytes instead of {expected}", \
				 "Let the client's JWE library make the whole message with the public key of this key id; \"alg\", \"enc\" and the key determine each length.") \
	KMS_JWE_FLAW(KMS_FLAW_SHORT_TAG, \
				 "{part} has {found} bytes instead of {expected}", \
				 "The end may have been cut off: look at where it was stored or sent. Otherwise let the client's JWE library make the whole message; \"alg\" and \"enc\" determine each length.") \
	KMS_JWE_FLAW(KMS_FLAW_NOT_EMPTY, \
				 "{part} is not empty, but \"ECDH-ES\" has none", \
				 "Leave {name} empty, or use \"ECDH-ES+A256KW\".") \
	KMS_JWE_FLAW(KMS_FLAW_BLOCKS, \
				 "{part} has {found} bytes, which is not a multiple of 16 above 0", \
				 "Encrypt with PKCS#7 padding, as RFC 7518, section 5.2.2.1, requires.") \
	KMS_JWE_FLAW(KMS_FLAW_TOO_LONG, \
				 "{part} has {found} bytes, at most {expected} are allowed", \
				 "Use a shorter value, or leave out {name}.") \
\
	/* Only if the headers are to be shown. */ \
	KMS_JWE_FLAW(KMS_FLAW_NUMBER, \
				 "{part} contains a number that is too long to be shown", \
				 "Send such a number as a string.") \
	KMS_JWE_FLAW(KMS_FLAW_ENCODING, \
				 "{part} contains a character that the database's encoding does not have", \
				 "Read the header in a database whose encoding is UTF8.")

/*
 * Names as in RFC 7516, 7.2; in the compact form, the parts "protected" to
 * "tag" follow each other.
 */
#define KMS_JWE_PART_LIST(KMS_JWE_PART) \
	KMS_JWE_PART(KMS_PART_PROTECTED, "protected") \
	KMS_JWE_PART(KMS_PART_ENCRYPTED_KEY, "encrypted_key") \
	KMS_JWE_PART(KMS_PART_IV, "iv") \
	KMS_JWE_PART(KMS_PART_CIPHERTEXT, "ciphertext") \
	KMS_JWE_PART(KMS_PART_TAG, "tag") \
	KMS_JWE_PART(KMS_PART_AAD, "aad") \
	KMS_JWE_PART(KMS_PART_UNPROTECTED, "unprotected") \
	KMS_JWE_PART(KMS_PART_HEADER, "header") \
	KMS_JWE_PART(KMS_PART_RECIPIENTS, "recipients") \
	KMS_JWE_PART(KMS_PART_RECIPIENT, "recipients[0]") \
\
	/* parameters of the headers */ \
	KMS_JWE_PART(KMS_PART_ALG, "alg") \
	KMS_JWE_PART(KMS_PART_ENC, "enc") \
	KMS_JWE_PART(KMS_PART_KID, "kid") \
	KMS_JWE_PART(KMS_PART_CRIT, "crit") \
	KMS_JWE_PART(KMS_PART_ZIP, "zip") \
	KMS_JWE_PART(KMS_PART_EPK, "epk") \
	KMS_JWE_PART(KMS_PART_EPK_KTY, "epk.kty") \
	KMS_JWE_PART(KMS_PART_EPK_CRV, "epk.crv") \
	KMS_JWE_PART(KMS_PART_EPK_X, "epk.x") \
	KMS_JWE_PART(KMS_PART_EPK_Y, "epk.y") \
	KMS_JWE_PART(KMS_PART_EPK_D, "epk.d") \
	KMS_JWE_PART(KMS_PART_APU, "apu") \
	KMS_JWE_PART(KMS_PART_APV, "apv")

#endif							/* KMS_CRYPTO_JWE_PROBLEM_LIST_H */
