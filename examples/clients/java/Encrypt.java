import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PublicKey;
import java.security.spec.MGF1ParameterSpec;
import java.security.spec.X509EncodedKeySpec;
import java.util.Base64;
import javax.crypto.Cipher;
import javax.crypto.spec.OAEPParameterSpec;
import javax.crypto.spec.PSource;

/**
 * Encrypt a secret with a public key from the database.
 *
 * <pre>java Encrypt.java sha1 sha1 public.pem &lt; secret</pre>
 */
public class Encrypt {
    /**
     * @param publicKey SPKI PEM
     * @param plaintext for a String use its UTF-8, secret.getBytes(StandardCharsets.UTF_8),
     *     because getBytes() alone may give another encoding. The limit is
     *     modulus bytes - 2 * digest bytes - 2 (214 with 2048 bits and SHA-1); more throws
     *     IllegalBlockSizeException.
     * @param digest SHA-1, SHA-256, …, with a hyphen
     * @param mgf1Digest likewise
     * @return base64
     */
    static String encrypt(String publicKey, byte[] plaintext, String digest, String mgf1Digest)
            throws GeneralSecurityException {
        byte[] der = Base64.getMimeDecoder().decode(publicKey.replaceAll("-----[A-Z ]+-----", ""));
        PublicKey key = KeyFactory.getInstance("RSA").generatePublic(new X509EncodedKeySpec(der));

        // Always pass a spec, because "RSA/ECB/OAEPWithSHA-256AndMGF1Padding" without one means
        // SHA-256 with MGF1-SHA-1. "RSA" alone means PKCS#1 v1.5, which kms refuses.
        Cipher cipher = Cipher.getInstance("RSA/ECB/OAEPPadding");
        cipher.init(Cipher.ENCRYPT_MODE, key, new OAEPParameterSpec(digest, "MGF1",
                new MGF1ParameterSpec(mgf1Digest), PSource.PSpecified.DEFAULT));
        return Base64.getEncoder().encodeToString(cipher.doFinal(plaintext));
    }

    public static void main(String[] args) throws Exception {
        String digest = args[0].replace("sha", "SHA-");
        String mgf1Digest = args[1].replace("sha", "SHA-");
        String publicKey = Files.readString(Path.of(args[2]));
        try {
            System.out.println(encrypt(publicKey, System.in.readAllBytes(), digest, mgf1Digest));
        } catch (GeneralSecurityException error) {
            System.err.println(error.getMessage());
            System.exit(1);
        }
    }
}
