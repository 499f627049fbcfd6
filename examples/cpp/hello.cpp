// Serves "test.echo" and calls it, in C++17: handles that destroy themselves, errors that are exceptions.
//
//   c++ -std=c++17 hello.cpp -pthread $(pkg-config --cflags --libs clouds) -o hello && ./hello [URL]
#include <clouds.h>

#include <array>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>

namespace
{

struct Destroy {
    void operator()(clouds_options *p) const { clouds_options_destroy(p); }
    void operator()(clouds_context *p) const { clouds_context_destroy(p); }
    void operator()(clouds_node *p) const { clouds_node_destroy(p); }
};
using Options = std::unique_ptr<clouds_options, Destroy>;
using Context = std::unique_ptr<clouds_context, Destroy>;
using Node = std::unique_ptr<clouds_node, Destroy>;

struct Error : std::runtime_error {
    Error(int error, std::string_view text)
        : std::runtime_error(std::string(clouds_err_name(error)) + ": " + std::string(text)), code(error)
    {
    }
    bool may_repeat() const { return clouds_err_outcome(code) == CLOUDS_OUTCOME_NOT_DONE; }
    int code;
};

int check(int code)
{
    if (code < 0) throw Error(code, clouds_last_error());
    return code;
}

// What the create functions have in common: they give a handle through their last parameter.
template <typename Owner, typename Create, typename... Arguments> Owner make(Create create, Arguments... arguments)
{
    typename Owner::pointer handle = nullptr;
    check(create(arguments..., &handle));
    return Owner(handle);
}

Context join(const char *url)
{
    auto options = make<Options>(clouds_options_create);
    check(clouds_options_set_string(options.get(), "url", url));
    check(clouds_options_set_string(options.get(), "mode", "thread")); // so that two threads may share the context
    return make<Context>(clouds_context_create, options.get());
}

// The answer to a call, and the end of what it points to.
class Answer
{
  public:
    Answer(clouds_context *context, uint64_t call) { check(clouds_wait(context, call, -1, &event_, sizeof event_)); }
    ~Answer() { clouds_event_release(&event_); }
    Answer(const Answer &) = delete;
    Answer &operator=(const Answer &) = delete;
    std::string_view value() const
    {
        if (event_.code != 0) throw Error(event_.code, {event_.error, event_.error_len});
        return {event_.data, event_.data_len};
    }

  private:
    clouds_event event_{};
};

Answer call(clouds_context *context, clouds_node *node, std::string_view method, std::string_view arguments)
{
    clouds_call_options how{};
    how.size = sizeof how;
    how.flags = CLOUDS_CALL_WAIT;
    how.timeout = 2;
    uint64_t id = 0;
    check(clouds_node_call(node, method.data(), method.size(), arguments.data(), arguments.size(), &how, &id));
    return Answer(context, id);
}

// Answers requests in a thread of its own until it is destroyed. Nothing is thrown out of a thread.
class Server
{
  public:
    Server(clouds_context *context, clouds_node *node, std::string_view method) : context_(context)
    {
        uint64_t operation = 0;
        check(clouds_node_register(node, method.data(), method.size(), NULL, &operation));
        thread_ = std::thread([context] { serve(context); });
    }
    ~Server()
    {
        clouds_context_close(context_, -1, NULL, NULL); // what was accepted is answered; then clouds_poll has nothing left
        thread_.join();
    }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

  private:
    static void serve(clouds_context *context)
    {
        std::array<clouds_event, 64> events;
        for (int n = 0; n >= 0; n = clouds_poll(context, events.data(), sizeof(clouds_event), events.size(), -1))
            for (std::size_t i = 0; i < static_cast<std::size_t>(n); i++)
                if (const clouds_event &e = events[i]; e.type == CLOUDS_EVENT_REQUEST)
                    clouds_reply(context, e.id, e.data, e.data_len);
    }
    clouds_context *context_;
    std::thread thread_;
};

void run(const char *url)
{
    const Context context = join(url);
    const Node node = make<Node>(clouds_node_create, context.get(), nullptr);
    const Server server(context.get(), node.get(), "test.echo");
    try {
        std::cout << call(context.get(), node.get(), "test.echo", R"(["Hello","C++"])").value() << '\n';
        std::cout << call(context.get(), node.get(), "test.nobody", "[]").value() << '\n';
    } catch (const Error &error) {
        std::cout << error.what() << (error.may_repeat() ? " (not done)" : "") << '\n';
    }
}

} // namespace

int main(int argc, char **argv)
{
    try {
        run(argc > 1 ? argv[1] : "local:");
        return 0;
    } catch (const std::exception &error) {
        std::cerr << "hello: " << error.what() << '\n';
        return 1;
    }
}
