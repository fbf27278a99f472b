import static java.nio.charset.StandardCharsets.US_ASCII;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.MessageDigest;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.interfaces.ECPublicKey;
import java.security.interfaces.XECPublicKey;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Arrays;
import java.util.Base64;
import javax.crypto.Cipher;
import javax.crypto.KeyAgreement;
import javax.crypto.spec.GCMParameterSpec;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;
import javax.crypto.spec.SecretKeySpec;

/**
 * Encrypt a secret as a JWE with what kms_issue_key() returns, without a library: with RSA-OAEP-256
 * or ECDH-ES, and A256GCM.
 *
 * <pre>java Jwe.java KEY_ID ALGORITHM_USED PUBLIC.PEM &lt; secret</pre>
 */
public class Jwe {
    /**
     * @param algorithm EC-P256, X25519, or RSA-2048 and so on
     * @param publicKey SPKI PEM
     * @param plaintext for a String use its UTF-8, secret.getBytes(StandardCharsets.UTF_8)
     * @return the compact form
     */
    static String encrypt(String keyId, String algorithm, String publicKey, byte[] plaintext)
            throws GeneralSecurityException {
        byte[] der = Base64.getMimeDecoder().decode(publicKey.replaceAll("-----[A-Z ]+-----", ""));
        PublicKey key = KeyFactory.getInstance(algorithm.startsWith("RSA") ? "RSA"
                : algorithm.startsWith("EC") ? "EC" : algorithm)
                .generatePublic(new X509EncodedKeySpec(der));
        byte[] contentKey;
        byte[] encryptedKey = {};
        String parameters;

        if (algorithm.startsWith("RSA")) {
            contentKey = random(32);
            encryptedKey = encryptKey(key, contentKey);
            parameters = "\"alg\":\"RSA-OAEP-256\"";
        } else {
            KeyPair ephemeral = generate(key);
            contentKey = agree(ephemeral, key);
            parameters = "\"alg\":\"ECDH-ES\",\"epk\":" + jwk(ephemeral.getPublic());
        }
        String header = base64url(("{" + parameters + ",\"enc\":\"A256GCM\",\"kid\":\"" + keyId
                + "\"}").getBytes(US_ASCII));

        byte[] iv = random(12);
        Cipher cipher = Cipher.getInstance("AES/GCM/NoPadding");
        cipher.init(Cipher.ENCRYPT_MODE, new SecretKeySpec(contentKey, "AES"),
                new GCMParameterSpec(128, iv));
        cipher.updateAAD(header.getBytes(US_ASCII));
        byte[] sealed = cipher.doFinal(plaintext);
        int length = sealed.length - 16;
        return String.join(".", header, base64url(encryptedKey), base64url(iv),
                base64url(Arrays.copyOf(sealed, length)),
                base64url(Arrays.copyOfRange(sealed, length, sealed.length)));
    }

    static byte[] encryptKey(PublicKey key, byte[] contentKey) throws GeneralSecurityException {
        // Without a spec MGF1 would be SHA-1.
        Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPPadding");
        cipher.init(Cipher.ENCRYPT_MODE, key, new OAEPParameterSpec("SHA-256", "MGF1",
                MGF1ParameterSpec.SHA256, PSource.PSpecified.DEFAULT));
        return cipher.doFinal(contentKey);
    }

    /** Generate a key pair on the curve of this key. */
    static KeyPair generate(PublicKey key) throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance(key.getAlgorithm());
        generator.initialize(key instanceof ECPublicKey ? ((ECPublicKey) key).getParams()
                : ((XECPublicKey) key).getParams());
        return generator.generateKeyPair();
    }

    /** Return the key of ECDH-ES for A256GCM (RFC 7518, 4.6.2): one round of the Concat KDF. */
    static byte[] agree(KeyPair ephemeral, PublicKey key) throws GeneralSecurityException {
        KeyAgreement agreement = KeyAgreement.getInstance(
                key instanceof ECPublicKey ? "ECDH" : "XDH");
        agreement.init(ephemeral.getPrivate());
        agreement.doPhase(key, true);
        byte[] enc = "A256GCM".getBytes(US_ASCII);
        ByteBuffer input = ByteBuffer.allocate(52 + enc.length)
                .putInt(1).put(agreement.generateSecret()).putInt(enc.length).put(enc)
                .putInt(0)      // apu
                .putInt(0)      // apv
                .putInt(256);   // bits of the key
        return MessageDigest.getInstance("SHA-256").digest(input.array());
    }

    static String jwk(PublicKey key) {
        // The raw coordinates are the end of SPKI.  A BigInteger would lose leading zeros.
        byte[] spki = key.getEncoded();
        String x;
        if (!(key instanceof ECPublicKey)) {
            x = base64url(Arrays.copyOfRange(spki, spki.length - 32, spki.length));
            return "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" + x + "\"}";
        }
        x = base64url(Arrays.copyOfRange(spki, spki.length - 64, spki.length - 32));
        return "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" + x + "\",\"y\":\""
                + base64url(Arrays.copyOfRange(spki, spki.length - 32, spki.length)) + "\"}";
    }

    static byte[] random(int length) {
        byte[] bytes = new byte[length];
        new SecureRandom().nextBytes(bytes);
        return bytes;
    }

    static String base64url(byte[] bytes) {
        return Base64.getUrlEncoder().withoutPadding().encodeToString(bytes);
    }

    public static void main(String[] args) throws Exception {
        String publicKey = Files.readString(Path.of(args[2]));
        try {
            System.out.println(encrypt(args[0], args[1], publicKey, System.in.readAllBytes()));
        } catch (GeneralSecurityException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
