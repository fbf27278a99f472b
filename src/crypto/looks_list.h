/*
 * The forms that clients send instead of a ciphertext in base64.
 *
 *	KMS_LOOKS(name, holds, finding, hint, sql)
 *
 * "holds": what is left when the form is undone; KMS_HOLDS_NOTHING if it
 * cannot be.
 *
 * "finding": predicate of a sentence about the ciphertext.
 *
 * "hint": what the client should do, in sentences.
 *
 * "sql": an expression that undoes the form, and yields a text or bytes as
 * "holds" says.  <in> stands for the expression of what has the form, <n> for
 * a number that was found.  The expression can be an argument of a function,
 * or an operand.  With KMS_HOLDS_NOTHING it is the whole of what can be done;
 * NULL means that nothing can.
 *
 * To add a form, add its row and recognize it in a file of its family.
 * Test 068 must follow its hint.
 */
#ifndef KMS_CRYPTO_LOOKS_LIST_H
#define KMS_CRYPTO_LOOKS_LIST_H

#define KMS_LOOKS_ENCODE_BYTES \
	"Let the client encode the encrypted bytes in base64, and treat only that as a text."
#define KMS_LOOKS_OWN_KEY \
	"Decrypt it there, or let the client encrypt with the public key of this key id."

#define KMS_LOOKS_LIST(KMS_LOOKS) \
\
	/* Characters. */ \
	KMS_LOOKS(KMS_LOOKS_EMPTY, KMS_HOLDS_NOTHING, \
			  "is empty", \
			  "The client sent nothing, or it was lost on its way.", NULL) \
	KMS_LOOKS(KMS_LOOKS_BLANKED, KMS_HOLDS_TEXT, \
			  "has blanks where plus signs should be", \
			  "It was sent in a form or a query string without being encoded; write %2B for a plus sign, or let the client use the URL-safe alphabet.", \
			  "translate(<in>, ' ', '+')") \
	KMS_LOOKS(KMS_LOOKS_REPLACED, KMS_HOLDS_NOTHING, \
			  "has replacement characters (U+FFFD) in it, the first at character <n>", \
			  "A program read the encrypted bytes as a text; what it replaced is lost. " KMS_LOOKS_ENCODE_BYTES, NULL) \
	KMS_LOOKS(KMS_LOOKS_QUESTION_MARKS, KMS_HOLDS_NOTHING, \
			  "has <n> question marks, as if they replaced other characters", \
			  "A program converted the encrypted bytes to a text of fewer characters; what it replaced is lost. " KMS_LOOKS_ENCODE_BYTES, NULL) \
	KMS_LOOKS(KMS_LOOKS_LATIN1, KMS_HOLDS_BYTES, \
			  "is bytes that were read as a text in Latin-1", \
			  KMS_LOOKS_ENCODE_BYTES, \
			  "convert(convert_to(<in>, 'UTF8'), 'UTF8', 'LATIN1')") \
	KMS_LOOKS(KMS_LOOKS_INVISIBLE, KMS_HOLDS_TEXT, \
			  "has invisible characters, the first at character <n>", \
			  "A byte order mark, zero-width characters or no-break spaces come from copying, or from a file that was read as a text. Let the client send the base64 as its encoder made it.", \
			  "regexp_replace(<in>, '[^\\t\\n\\r -~]', '', 'g')") \
\
	/* Marks of other formats and tools. */ \
	KMS_LOOKS(KMS_LOOKS_PEM, KMS_HOLDS_TEXT, \
			  "looks like PEM", \
			  "Send the base64 between the lines BEGIN and END alone.", \
			  "regexp_replace(<in>, '-----(BEGIN|END) [^-]*-----', '', 'g')") \
	KMS_LOOKS(KMS_LOOKS_KEY, KMS_HOLDS_NOTHING, \
			  "looks like a key or a certificate", \
			  "Let the client send what it encrypts with the key, and not the key.", NULL) \
	KMS_LOOKS(KMS_LOOKS_DATA_URL, KMS_HOLDS_TEXT, \
			  "looks like a data URL", \
			  "Send what follows \"base64,\" alone.", \
			  "substring(<in> FROM ',(.*)')") \
	KMS_LOOKS(KMS_LOOKS_BASE64_PREFIX, KMS_HOLDS_TEXT, \
			  "begins with the name of its encoding", \
			  "Send what follows it alone.", \
			  "substring(<in> FROM '[:,](.*)')") \
	KMS_LOOKS(KMS_LOOKS_VAULT, KMS_HOLDS_TEXT, \
			  "has the prefix of HashiCorp Vault", \
			  "What the transit engine of Vault or OpenBao encrypted, only that decrypts. If the client encrypts with the public key of this key id, let it send the ciphertext without the prefix.", \
			  "substring(<in> FROM 'vault:v[0-9]+:(.*)')") \
	KMS_LOOKS(KMS_LOOKS_SPRING, KMS_HOLDS_TEXT, \
			  "has the prefix {cipher} of Spring Cloud Config", \
			  "What its server encrypted, only that decrypts. If the client encrypts with the public key of this key id, let it send the ciphertext without the prefix.", \
			  "regexp_replace(<in>, '^\\s*\\{cipher\\}(\\{[^}]*\\})*', '')") \
	KMS_LOOKS(KMS_LOOKS_JASYPT, KMS_HOLDS_TEXT, \
			  "stands in the ENC(...) of Jasypt", \
			  "What Jasypt encrypted, only that decrypts. If the client encrypts with the public key of this key id, let it send the ciphertext without ENC and its parentheses.", \
			  "substring(<in> FROM 'ENC\\((.*)\\)')") \
	KMS_LOOKS(KMS_LOOKS_ANSIBLE, KMS_HOLDS_NOTHING, \
			  "was encrypted by Ansible Vault", KMS_LOOKS_OWN_KEY, NULL) \
	KMS_LOOKS(KMS_LOOKS_EYAML, KMS_HOLDS_NOTHING, \
			  "was encrypted by hiera-eyaml", KMS_LOOKS_OWN_KEY, NULL) \
	KMS_LOOKS(KMS_LOOKS_SOPS, KMS_HOLDS_NOTHING, \
			  "was encrypted by SOPS", KMS_LOOKS_OWN_KEY, NULL) \
	KMS_LOOKS(KMS_LOOKS_AGE, KMS_HOLDS_NOTHING, \
			  "was encrypted by age", KMS_LOOKS_OWN_KEY, NULL) \
	KMS_LOOKS(KMS_LOOKS_PGP, KMS_HOLDS_NOTHING, \
			  "is a message of OpenPGP", KMS_LOOKS_OWN_KEY, NULL) \
	KMS_LOOKS(KMS_LOOKS_REFERENCE, KMS_HOLDS_NOTHING, \
			  "is the name of a secret in another system", \
			  "Let the program that sends it read the secret there, and encrypt it with the public key of this key id.", NULL) \
	KMS_LOOKS(KMS_LOOKS_HASH, KMS_HOLDS_NOTHING, \
			  "looks like the hash of a password", \
			  "A hash cannot be decrypted: look whether the arguments of kms_verify_secret() were swapped.", NULL) \
	KMS_LOOKS(KMS_LOOKS_KEY_ID, KMS_HOLDS_NOTHING, \
			  "is a key id", \
			  "The key id is the first argument, the ciphertext the second.", NULL) \
	KMS_LOOKS(KMS_LOOKS_BEARER, KMS_HOLDS_TEXT, \
			  "begins with \"Bearer\", as a header of HTTP does", \
			  "Send what follows it alone.", \
			  "regexp_replace(<in>, '^\\s*(authorization:\\s*)?bearer\\s+', '', 'i')") \
	KMS_LOOKS(KMS_LOOKS_JWE_SPACED, KMS_HOLDS_TEXT, \
			  "is a JWE with blanks or line breaks in it", \
			  "Let the client send it as its library made it, in one line.", \
			  "regexp_replace(<in>, '\\s', '', 'g')") \
	KMS_LOOKS(KMS_LOOKS_JWE_BASE64, KMS_HOLDS_TEXT, \
			  "is a JWE whose parts have padding or are in standard base64", \
			  "Encode with the URL-safe alphabet of RFC 4648, section 5, without padding; best let a library for JWE do it.", \
			  "translate(<in>, '+/=', '-_')") \
	KMS_LOOKS(KMS_LOOKS_JWS, KMS_HOLDS_NOTHING, \
			  "is a JWS, as a signed JWT is", \
			  "That is signed and not encrypted: let the client make a JWE.", NULL) \
	KMS_LOOKS(KMS_LOOKS_JWT, KMS_HOLDS_NOTHING, \
			  "is a plain JWT", \
			  "That is neither signed nor encrypted, and everybody can read it: let the client make a JWE.", NULL) \
\
	/* Texts that programs print instead of bytes. */ \
	KMS_LOOKS(KMS_LOOKS_OBJECT, KMS_HOLDS_NOTHING, \
			  "is what a program prints for an object, not its content", \
			  KMS_LOOKS_ENCODE_BYTES, NULL) \
	KMS_LOOKS(KMS_LOOKS_NO_VALUE, KMS_HOLDS_NOTHING, \
			  "is what a program prints for no value", \
			  "The client had nothing to send: look at where its ciphertext comes from.", NULL) \
	KMS_LOOKS(KMS_LOOKS_PRINTED_HEX, KMS_HOLDS_TEXT, \
			  "is hexadecimal as Node or Objective-C prints bytes, in angle brackets", \
			  KMS_LOOKS_ENCODE_BYTES, \
			  "substring(<in> FROM '<(?:Buffer )?([0-9A-Fa-f\\s]*)>')") \
	KMS_LOOKS(KMS_LOOKS_PYTHON_TEXT, KMS_HOLDS_TEXT, \
			  "stands in the b'...' of Python", \
			  "Let the client decode the bytes that its base64 encoder returns: base64.b64encode(...).decode().", \
			  "substring(<in> FROM 'b[''\"](.*)[''\"]')") \
	KMS_LOOKS(KMS_LOOKS_PYTHON_BYTES, KMS_HOLDS_BYTES, \
			  "is bytes in the b'...' of Python", \
			  "Let the client encode the bytes: base64.b64encode(...).decode().", \
			  "(SELECT string_agg(coalesce(decode(m[1], 'hex'), convert_to(coalesce(translate(m[2], 'nrt', E'\\n\\r\\t'), m[3]), 'UTF8')), '' ORDER BY i) FROM regexp_matches(substring(<in> FROM 'b[''\"](.*)[''\"]'), '\\\\x(..)|\\\\(.)|([^\\\\]+)', 'g') WITH ORDINALITY AS r (m, i))") \
	KMS_LOOKS(KMS_LOOKS_NUMBERS, KMS_HOLDS_BYTES, \
			  "is a list of bytes as numbers", \
			  KMS_LOOKS_ENCODE_BYTES, \
			  "(SELECT string_agg(set_byte('\\x00', 0, (m[1]::int + 256) % 256), '' ORDER BY i) FROM regexp_matches(substring(<in> FROM '[^[({<]*$'), '-?\\d+', 'g') WITH ORDINALITY AS r (m, i))") \
	KMS_LOOKS(KMS_LOOKS_HEX_NUMBERS, KMS_HOLDS_BYTES, \
			  "is a list of bytes as hexadecimal numbers", \
			  KMS_LOOKS_ENCODE_BYTES, \
			  "(SELECT string_agg(decode(lpad(m[1], 2, '0'), 'hex'), '' ORDER BY i) FROM regexp_matches(<in>, '0x([0-9A-F]{1,2})', 'gi') WITH ORDINALITY AS r (m, i))") \
\
	/* JSON and quotes. */ \
	KMS_LOOKS(KMS_LOOKS_JSON_ARRAY, KMS_HOLDS_BYTES, \
			  "is JSON with a list of bytes", \
			  "Let the client encode the encrypted bytes in base64, and send that alone.", \
			  "(SELECT string_agg(set_byte('\\x00', 0, (n::int + 256) % 256), '' ORDER BY i) FROM jsonb_path_query(CAST(<in> AS jsonb), 'strict $.** ? (@.type() == \"array\" && @.size() == <n>)[*]') WITH ORDINALITY AS r (n, i))") \
	KMS_LOOKS(KMS_LOOKS_JSON_INDEXES, KMS_HOLDS_BYTES, \
			  "is JSON with bytes by their index, as JavaScript writes a Uint8Array", \
			  "Let the client encode the encrypted bytes in base64, and send that alone.", \
			  "(SELECT string_agg(set_byte('\\x00', 0, (n::int + 256) % 256), '' ORDER BY i) FROM jsonb_path_query(CAST(<in> AS jsonb), 'strict $.** ? (@.type() == \"number\")') WITH ORDINALITY AS r (n, i))") \
	KMS_LOOKS(KMS_LOOKS_JSON_JWE, KMS_HOLDS_TEXT, \
			  "is JSON with a JWE in it", \
			  "Send the object that is the JWE alone.", \
			  "(SELECT CAST(v AS text) FROM jsonb_path_query(CAST(<in> AS jsonb), 'strict $.** ? (exists(@.ciphertext) && (exists(@.protected) || exists(@.unprotected) || exists(@.recipients)))') AS v)") \
	KMS_LOOKS(KMS_LOOKS_JSON_VALUE, KMS_HOLDS_TEXT, \
			  "is a value in JSON", \
			  "Send the value that is the ciphertext alone, without quotes.", \
			  "(SELECT v #>> '{}' FROM jsonb_path_query(CAST(<in> AS jsonb), 'strict $.** ? (@.type() == \"string\")') AS v WHERE length(v #>> '{}') = <n>)") \
	KMS_LOOKS(KMS_LOOKS_JSON_VALUES, KMS_HOLDS_NOTHING, \
			  "is JSON with several values that may be ciphertexts", \
			  "Send each of them alone. To diagnose each of them:", \
			  "kms_diagnose(key_id, jsonb_path_query(CAST(<in> AS jsonb), 'strict $.** ? (@ like_regex \"^.{128}\" flag \"s\")') #>> '{}')") \
	KMS_LOOKS(KMS_LOOKS_JSON_WITHOUT, KMS_HOLDS_NOTHING, \
			  "is JSON without a value that is long enough to be a ciphertext", \
			  "Let the client encrypt, and send the ciphertext alone.", NULL) \
	KMS_LOOKS(KMS_LOOKS_JSON_SINGLE, KMS_HOLDS_TEXT, \
			  "is JSON with single quotes, as Python prints a dictionary", \
			  "Let the client write JSON with a library (json.dumps), and send the value that is the ciphertext alone.", \
			  "translate(<in>, '''', '\"')") \
	KMS_LOOKS(KMS_LOOKS_JSON_BROKEN, KMS_HOLDS_NOTHING, \
			  "begins like JSON but is not", \
			  "Look whether it was cut off or put together by hand; let the client send the ciphertext alone.", NULL) \
	KMS_LOOKS(KMS_LOOKS_JSON_STRING, KMS_HOLDS_TEXT, \
			  "is a string in JSON, with escapes", \
			  "It was written as JSON once too often; send its value.", \
			  "(CAST(<in> AS jsonb) #>> '{}')") \
	KMS_LOOKS(KMS_LOOKS_QUOTED, KMS_HOLDS_TEXT, \
			  "stands in double quotes", \
			  "Take the quotes away; it was written as JSON or as a literal once too often.", \
			  "substring(<in> FROM '\"(.*)\"')") \
	KMS_LOOKS(KMS_LOOKS_SINGLE_QUOTED, KMS_HOLDS_TEXT, \
			  "stands in single quotes", \
			  "Take the quotes away; it was written as a literal once too often.", \
			  "substring(<in> FROM '''(.*)''')") \
	KMS_LOOKS(KMS_LOOKS_BACKQUOTED, KMS_HOLDS_TEXT, \
			  "stands in backquotes", \
			  "Take the quotes away; it was written as a literal once too often.", \
			  "substring(<in> FROM '`(.*)`')") \
\
	/* Escapes. */ \
	KMS_LOOKS(KMS_LOOKS_SERIALIZED, KMS_HOLDS_TEXT, \
			  "was serialized by PHP", \
			  "Send the string itself, not what serialize() makes of it.", \
			  "substring(<in> FROM 's:<n>:\"([^\"]*)\"')") \
	KMS_LOOKS(KMS_LOOKS_BYTEA_ESCAPE, KMS_HOLDS_BYTES, \
			  "looks like a bytea in the format \"escape\"", \
			  "Send base64, or give the bytes to kms_decrypt_bytea().", \
			  "CAST(btrim(<in>, E' \\t\\n\\r') AS bytea)") \
	KMS_LOOKS(KMS_LOOKS_JSON_ESCAPED, KMS_HOLDS_TEXT, \
			  "has escapes of JSON in it, such as \\/ or \\u002b", \
			  "It was cut out of JSON as it is written there; let a JSON library read the value.", \
			  "(CAST(concat('\"', translate(<in>, E'\\t\\n\\r', ''), '\"') AS jsonb) #>> '{}')") \
	KMS_LOOKS(KMS_LOOKS_SLASHED, KMS_HOLDS_TEXT, \
			  "has backslashes before quotes", \
			  "It went through addslashes() of PHP or was written for a literal of SQL; pass it as a parameter.", \
			  "regexp_replace(<in>, '\\\\(.)', '\\1', 'g')") \
	KMS_LOOKS(KMS_LOOKS_PERCENT_ENCODED, KMS_HOLDS_TEXT, \
			  "is percent-encoded", \
			  "Decode it first (%2B is a plus sign, %2F a slash, %3D an equals sign), or let the client use the URL-safe alphabet.", \
			  "(SELECT convert_from(string_agg(CASE WHEN m[1] ~ '^%..$' THEN decode(substr(m[1], 2), 'hex') ELSE convert_to(m[1], 'UTF8') END, '' ORDER BY i), 'UTF8') FROM regexp_matches(<in>, '%[0-9A-Fa-f]{2}|[^%]+|%', 'g') WITH ORDINALITY AS r (m, i))") \
	KMS_LOOKS(KMS_LOOKS_HTML, KMS_HOLDS_TEXT, \
			  "has escapes of HTML in it, such as &#x2B; or &quot;", \
			  "A template wrote it into a page; escape it where it is shown, and not where it is sent.", \
			  "regexp_replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(<in>, '&(#0*43|#x0*2b|plus);', '+', 'gi'), '&(#0*47|#x0*2f|sol);', '/', 'gi'), '&(#0*61|#x0*3d|equals);', '=', 'gi'), '&(#0*34|#x0*22|quot);', '\"', 'gi'), '&(#0*38|#x0*26|amp);', '&', 'gi')") \
\
	/* Digits. */ \
	KMS_LOOKS(KMS_LOOKS_BYTEA, KMS_HOLDS_BYTES, \
			  "looks like a literal of bytea: \\x and hexadecimal digits", \
			  "Send base64, or give the bytes to kms_decrypt_bytea().", \
			  "CAST(<in> AS bytea)") \
	KMS_LOOKS(KMS_LOOKS_HEX, KMS_HOLDS_BYTES, \
			  "is hexadecimal", "Send base64.", "decode(<in>, 'hex')") \
	KMS_LOOKS(KMS_LOOKS_HEX_SEPARATED, KMS_HOLDS_BYTES, \
			  "is hexadecimal, with other characters between the digits or before them", \
			  "Send base64.", \
			  "decode(regexp_replace(<in>, '0x|[^0-9A-F]', '', 'gi'), 'hex')") \
	KMS_LOOKS(KMS_LOOKS_HEX_ODD, KMS_HOLDS_BYTES, \
			  "is hexadecimal and lacks one digit", \
			  "The client printed the block as a number, which loses leading zeros: let it print each byte with two digits, or better send base64.", \
			  "decode(concat('0', regexp_replace(<in>, '0x|[^0-9A-F]', '', 'gi')), 'hex')") \
	KMS_LOOKS(KMS_LOOKS_HEX_CUT, KMS_HOLDS_NOTHING, \
			  "is hexadecimal with an odd number of digits, <n>", \
			  "Look whether it was cut off, or whether its bytes were printed with less than two digits each.", NULL) \
	KMS_LOOKS(KMS_LOOKS_DECIMAL, KMS_HOLDS_NOTHING, \
			  "is a decimal number of <n> digits", \
			  "Let the client send the bytes of the block in base64, and not the number that they stand for.", NULL) \
	KMS_LOOKS(KMS_LOOKS_BASE64_MIXED, KMS_HOLDS_TEXT, \
			  "is base64 of both alphabets, of which one must be chosen", \
			  "A program replaced only some of the characters in which they differ.", \
			  "translate(<in>, '-_', '+/')") \
	KMS_LOOKS(KMS_LOOKS_BASE64_PADDED, KMS_HOLDS_TEXT, \
			  "is base64 with too much padding", \
			  "A program appended equals signs that were there already.", \
			  "rtrim(<in>, E'= \\t\\n\\r')") \
	KMS_LOOKS(KMS_LOOKS_BASE64_ROW, KMS_HOLDS_BYTES, \
			  "is <n> texts of base64 in a row", \
			  "Send each of them alone.", \
			  "(SELECT string_agg(decode(rpad(translate(m[1], '-_', '+/'), (length(m[1]) + 3) / 4 * 4, '='), 'base64'), '' ORDER BY i) FROM regexp_matches(regexp_replace(<in>, '\\s', '', 'g'), '([A-Za-z0-9+/_-]+)=*', 'g') WITH ORDINALITY AS r (m, i))") \
	KMS_LOOKS(KMS_LOOKS_BASE64_BITS, KMS_HOLDS_BYTES, \
			  "is base64 whose last digit has bits that belong to no byte", \
			  "Use an encoder that follows RFC 4648, or look whether the last digit was changed.", \
			  "decode(rpad(translate(regexp_replace(<in>, '[\\s=]', '', 'g'), '-_', '+/'), <n>, '='), 'base64')") \
	KMS_LOOKS(KMS_LOOKS_SHORTENED, KMS_HOLDS_NOTHING, \
			  "was shortened: it has three dots in it", \
			  "A program shortened it to print it, and the rest is lost. " KMS_LOOKS_ENCODE_BYTES, NULL) \
\
	/* Bytes. */ \
	KMS_LOOKS(KMS_LOOKS_BYTES_REPLACED, KMS_HOLDS_NOTHING, \
			  "has replacement characters (EF BF BD) in its bytes", \
			  "A program read the encrypted bytes as a text; what it replaced is lost. Let the client encode the encrypted bytes themselves in base64.", NULL) \
	KMS_LOOKS(KMS_LOOKS_BYTES_LATIN1, KMS_HOLDS_BYTES, \
			  "is bytes that were read as Latin-1 and written as UTF-8, each above 7F as two", \
			  "Let the client encode the encrypted bytes themselves in base64, and not a text that was made of them.", \
			  "decode(regexp_replace(regexp_replace(encode(<in>, 'escape'), '\\\\302(?=\\\\2)', '', 'g'), '\\\\303\\\\2', '\\\\3', 'g'), 'escape')") \
	KMS_LOOKS(KMS_LOOKS_BYTES_UTF16, KMS_HOLDS_TEXT, \
			  "is base64 of a text in UTF-16", \
			  "The client encoded a text, and not the encrypted bytes; let it encode those in base64, once.", \
			  "replace(replace(replace(encode(<in>, 'escape'), '\\377\\376', ''), '\\376\\377', ''), '\\000', '')") \
	KMS_LOOKS(KMS_LOOKS_BYTES_TEXT, KMS_HOLDS_TEXT, \
			  "is base64 of a text, not of encrypted bytes", \
			  "Let the client, or a program in between, encode the encrypted bytes in base64, once.", \
			  "convert_from(<in>, 'UTF8')") \
	KMS_LOOKS(KMS_LOOKS_BYTES_DER, KMS_HOLDS_NOTHING, \
			  "is in DER, as keys, certificates and CMS are", \
			  "Let the client send the block that RSA-OAEP makes, and not a key or an envelope.", NULL) \
	KMS_LOOKS(KMS_LOOKS_BYTES_SALTED, KMS_HOLDS_NOTHING, \
			  "was encrypted with a password, by the openssl command or CryptoJS", \
			  "Let the client encrypt with the public key of this key id, and with RSA-OAEP.", NULL) \
	KMS_LOOKS(KMS_LOOKS_BYTES_AWS, KMS_HOLDS_NOTHING, \
			  "was encrypted by AWS KMS", KMS_LOOKS_OWN_KEY, NULL) \
	KMS_LOOKS(KMS_LOOKS_BYTES_GOOGLE, KMS_HOLDS_NOTHING, \
			  "was encrypted by Google Cloud KMS", KMS_LOOKS_OWN_KEY, NULL) \
	KMS_LOOKS(KMS_LOOKS_BYTES_FERNET, KMS_HOLDS_NOTHING, \
			  "is a token of Fernet, which has a secret key", \
			  "Let the client encrypt with the public key of this key id, and with RSA-OAEP.", NULL) \
	KMS_LOOKS(KMS_LOOKS_BYTES_DPAPI, KMS_HOLDS_NOTHING, \
			  "was encrypted by the data protection of Windows", KMS_LOOKS_OWN_KEY, NULL)

#endif							/* KMS_CRYPTO_LOOKS_LIST_H */
