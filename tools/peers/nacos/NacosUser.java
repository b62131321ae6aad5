import com.alibaba.nacos.api.NacosFactory;
import com.alibaba.nacos.api.config.listener.AbstractListener;
import com.alibaba.nacos.api.naming.listener.NamingEvent;
import com.alibaba.nacos.api.naming.pojo.Instance;
import java.util.Properties;
import java.util.TreeMap;

/** A user of Nacos by its own client: prints a line for all it is told, until its input ends. */
public class NacosUser {
  public static void main(String[] a) throws Exception {
    Properties at = new Properties();
    at.put("serverAddr", a[0]);
    if (System.getenv("NACOS_PASSWORD") != null) {
      at.put("username", "nacos");
      at.put("password", System.getenv("NACOS_PASSWORD"));
    }
    switch (a[1]) {
      case "watch" -> NacosFactory.createNamingService(at).subscribe(a[2], event -> {
        StringBuilder line = new StringBuilder("instances");
        for (Instance each : ((NamingEvent) event).getInstances())
          line.append(" ").append(each.getIp()).append(":").append(each.getPort()).append(each.isHealthy() ? "" : "!")
              .append(new TreeMap<>(each.getMetadata()));
        say(line.toString());
      });
      case "register" -> {
        Instance us = new Instance();
        us.setIp("127.0.0.1");
        us.setPort(Integer.parseInt(a[3]));
        us.addMetadata("models", "tiny");
        NacosFactory.createNamingService(at).registerInstance(a[2], us);
        say("registered");
      }
      case "publish" -> say("published " + NacosFactory.createConfigService(at).publishConfig(a[2], "DEFAULT_GROUP", a[3]));
      case "config" -> say("text " + NacosFactory.createConfigService(at).getConfigAndSignListener(a[2], "DEFAULT_GROUP", 5000,
          new AbstractListener() {
            @Override
            public void receiveConfigInfo(String text) {
              say("text " + text);
            }
          }));
      default -> throw new IllegalArgumentException(a[1]);
    }
    while (System.in.read() >= 0) continue;
    System.exit(0);
  }

  private static synchronized void say(String line) {
    System.out.println(line.replace("\n", "\\n"));
    System.out.flush();
  }
}
