import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Writing through a Vecferry sidecar from Java 17: announce, send, end.
 *
 * <p>Try it with {@code java Sidecar.java}. It builds and reads its few JSON fields by hand, so that
 * the file needs no library; use the one that your application has.
 */
public final class Sidecar {

    /** The write must not be sent now; try again after so long. */
    public static final class Unavailable extends IOException {
        public final Duration after;

        Unavailable(String reason, Duration after) {
            super(reason);
            this.after = after;
        }
    }

    /** What the source answered: it has refused the write and changed nothing. */
    public static final class Refused extends IOException {
        public Refused(String reason) {
            super(reason);
        }
    }

    /** Sends one write to the source, within a timeout. */
    @FunctionalInterface
    public interface Send {
        void send(Duration timeout) throws IOException, InterruptedException;
    }

    private static final Pattern TICKET = Pattern.compile("\"ticket\":\\s*\"([0-9a-f]+)\"");
    private static final Pattern REQUEST_MAX = Pattern.compile("\"request_max_s\":\\s*([0-9.]+)");

    private final HttpClient client =
            HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final String url;
    private final String token;

    /** Calls the sidecar at {@code url}; {@code token} is empty where it asks for none. */
    public Sidecar(String url, String token) {
        this.url = url;
        this.token = token;
    }

    /**
     * Announces a write, sends it, and ends it with its outcome.
     *
     * @param ids a JSON list: {@code [1, "a", {"uuid": "…"}]}
     * @throws Unavailable before anything was sent
     */
    public void write(String collection, String verb, String ids, Send send)
            throws IOException, InterruptedException {
        String begin =
                "{\"collection\": \"%s\", \"verb\": \"%s\", \"ids\": %s}"
                        .formatted(collection, verb, ids);
        HttpResponse<String> begun = post("begin", begin);
        if (begun.statusCode() != 200) {
            throw refusal(begun);
        }
        String ticket = field(TICKET, begun.body());
        double limit = Double.parseDouble(field(REQUEST_MAX, begun.body()));
        String outcome = "unknown";
        try {
            send.send(Duration.ofMillis((long) (limit * 1000)));
            outcome = "done";
        } catch (Refused refused) {
            outcome = "done";
            throw refused;
        } finally {
            end(ticket, outcome);
        }
    }

    private void end(String ticket, String outcome) throws InterruptedException {
        try {
            post("end", "{\"ticket\": \"%s\", \"outcome\": \"%s\"}".formatted(ticket, outcome));
        } catch (IOException lost) {
            // the write is read back without its end, when its time is over
            System.err.println("the end of a write was not told: " + lost);
        }
    }

    private HttpResponse<String> post(String name, String body)
            throws IOException, InterruptedException {
        HttpRequest.Builder request =
                HttpRequest.newBuilder(URI.create(url + "/v1/writes/" + name))
                        .timeout(Duration.ofSeconds(15))
                        .header("Content-Type", "application/json")
                        .POST(HttpRequest.BodyPublishers.ofString(body));
        if (!token.isEmpty()) {
            request.header("Authorization", "Bearer " + token);
        }
        try {
            return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
        } catch (IOException error) {
            throw new Unavailable(error.toString(), Duration.ofSeconds(1));
        }
    }

    private static IOException refusal(HttpResponse<String> reply) {
        if (reply.statusCode() != 503) {
            return new IOException(reply.statusCode() + ": " + reply.body());
        }
        long seconds = reply.headers().firstValueAsLong("Retry-After").orElse(1);
        return new Unavailable(reply.body(), Duration.ofSeconds(seconds));
    }

    private static String field(Pattern pattern, String body) throws IOException {
        Matcher found = pattern.matcher(body);
        if (!found.find()) {
            throw new IOException("not a sidecar's answer");
        }
        return found.group(1);
    }

    /** Shows a write of points 1 and 2. */
    public static void main(String[] arguments) throws Exception {
        String url = System.getenv().getOrDefault("SIDECAR_URL", "http://127.0.0.1:8723");
        new Sidecar(url, "")
                .write(
                        "docs",
                        "upsert",
                        "[1, 2]",
                        timeout -> {
                            // your own client writes points 1 and 2 to the source here
                        });
        System.out.println("written");
    }
}
